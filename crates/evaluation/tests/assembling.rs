//! From a checkpoint and a validation set to a bundle that is served.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use modloop_bundle::testing;
use modloop_classifier::{Classifier, ClassifierOptions};
use modloop_evaluation::{AssembleOptions, CalibrationWeights, EvaluationError, assemble};

fn options(dir: &Path) -> AssembleOptions {
    let library = std::env::var("ORT_DYLIB_PATH")
        .expect("ORT_DYLIB_PATH names no ONNX Runtime library: run `cargo xtask test`, which sets it");
    AssembleOptions {
        checkpoint: dir.join("checkpoint"),
        dev: dir.join("dev.jsonl"),
        dev_limit: None,
        out: dir.join("bundle"),
        version: "tiny-1".parse().expect("a version"),
        runtime_library: PathBuf::from(library),
        include_weights: false,
        calibration_weights: CalibrationWeights::default(),
        calibration_prior: None,
    }
}

/// A random model, and a validation set that agrees with it often enough to be calibrated.
fn prepare(dir: &Path) {
    testing::checkpoint(&dir.join("checkpoint"), 2, 3);
    let training = r#"{"labels":["hate","offensive"],"base_model":{"name":"tiny","licence":"none","sha256":"00"},
        "data_sources":[{"name":"made up","licence":"CC0-1.0","lines":7}],"seed":1}"#;
    fs::write(dir.join("checkpoint/training.json"), training).expect("written");
    // The bundle of the same weights tells which texts the model scores high.
    let tiny = testing::bundle(&dir.join("same-weights"), "tiny-0", 3);
    let library = options(dir).runtime_library;
    let model = Classifier::load(tiny.dir(), &ClassifierOptions::on_all_cores(library)).expect("loads");
    let words = ["cat", "dog", "good", "bad", "hello", "you", "hate"];
    let texts: Vec<String> =
        (0..240).map(|i| format!("{} {} {}", words[i % 7], words[i / 7 % 7], i)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let scored: Vec<_> = model.score(&texts).into_iter().map(|s| s.expect("scored").scores).collect();
    let middles = [0, 1].map(|label| {
        let mut sorted: Vec<f32> = scored.iter().map(|scores| scores[label].get()).collect();
        sorted.sort_by(f32::total_cmp);
        sorted[120]
    });
    let mut lines = String::new();
    for (i, (text, scores)) in texts.iter().zip(&scored).enumerate() {
        // Every fifth text is annotated against the model.
        let truth = |label: usize| u8::from((scores[label].get() > middles[label]) != (i % 5 == 0));
        let hate = truth(0);
        let offensive = if i % 3 == 0 { "null".to_owned() } else { truth(1).to_string() };
        let source = if i % 4 == 0 { "b" } else { "a" };
        writeln!(lines, r#"{{"source":"{source}","text":"{text}","hate":{hate},"offensive":{offensive}}}"#)
            .expect("fits");
    }
    fs::write(dir.join("dev.jsonl"), lines).expect("written");
}

#[test]
fn a_checkpoint_becomes_a_bundle_that_scores_as_it_was_measured() {
    let dir = tempfile::tempdir().expect("a folder");
    prepare(dir.path());
    let options = options(dir.path());
    let report = assemble(&options).expect("assembles");
    let manifest = report.bundle.manifest();

    assert_eq!(manifest.data_sources[0].name, "made up");
    assert_eq!(manifest.baseline.chunks.iter().map(|c| c.items).sum::<u64>(), 240);
    let hate = &report.metrics.labels[&manifest.labels[0]];
    assert_eq!((hate.overall.items, hate.by_source.len()), (240, 2));
    assert!(hate.overall.auroc > Some(0.7), "{:?}", hate.overall);
    assert!(hate.overall.calibration_error < Some(0.15), "{:?}", hate.overall);
    let parity = &report.metrics.parity;
    assert!(parity.items == 240 && parity.mean_difference < 0.02, "{parity:?}");
    assert!(report.to_string().contains("hate, all sources"));
    assert_eq!(manifest.metrics["dev_lines"], 240);

    // What the baseline counted is what the classifier gives.
    let classifier =
        Classifier::load(&options.out, &ClassifierOptions::on_all_cores(options.runtime_library.clone()))
            .expect("loads");
    let dev = fs::read_to_string(&options.dev).expect("lines");
    let mut counted = vec![0u64; modloop_bundle::GRID + 1];
    for line in dev.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let scored = classifier.score(&[line["text"].as_str().expect("a text")]).remove(0).expect("scored");
        counted[modloop_bundle::cell(scored.scores[0].get())] += 1;
    }
    let baseline = manifest.baseline.chunks.iter().map(|c| &c.scores[&manifest.labels[0]]);
    let measured = baseline
        .fold(vec![0u64; counted.len()], |sum, chunk| sum.iter().zip(chunk).map(|(a, b)| a + b).collect());
    assert_eq!(counted, measured);
}

#[test]
fn what_cannot_be_measured_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    prepare(dir.path());
    let options = options(dir.path());

    let dev = fs::read_to_string(&options.dev).expect("lines");
    fs::write(&options.dev, dev.replace("\"offensive\":1", "\"offensive\":0")).expect("written");
    let error = assemble(&options).expect_err("refused");
    assert!(matches!(error, EvaluationError::OneClass { .. }), "{error}");
    assert!(error.to_string().starts_with("label offensive has 0 positive"), "{error}");

    let turned = dev.replace("\"hate\":1", "\"hate\":x").replace("\"hate\":0", "\"hate\":1");
    fs::write(&options.dev, turned.replace("\"hate\":x", "\"hate\":0")).expect("written");
    let error = assemble(&options).expect_err("refused").to_string();
    assert!(error.starts_with("label hate cannot be calibrated"), "{error}");

    let training = options.checkpoint.join("training.json");
    let three = fs::read_to_string(&training).expect("training").replace("\"hate\",", "\"hate\",\"spam\",");
    fs::write(&training, three).expect("written");
    let error = assemble(&options).expect_err("refused").to_string();
    assert!(error.contains("names 3 labels, but the checkpoint has a head for 2"), "{error}");

    fs::remove_file(&training).expect("removed");
    let error = assemble(&options).expect_err("refused").to_string();
    assert!(error.contains("training.json"), "{error}");
    assert!(!options.out.exists(), "half a bundle was left");
}
