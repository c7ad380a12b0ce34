//! From a checkpoint and a validation set to a bundle that is served, and measured again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use modloop_bundle::{Bundle, Calibration, Checkpoint, files, testing};
use modloop_classifier::{Classifier, ClassifierOptions};
use modloop_evaluation::{
    AssembleOptions, CalibrationWeights, DevSet, Evaluation, EvaluationError, assemble, evaluate, score_lines,
};

/// A source as a stranger might name it.
const HOSTILE: &str = "b<script>&";

fn options(dir: &Path) -> AssembleOptions {
    AssembleOptions {
        checkpoint: dir.join("checkpoint"),
        dev: dir.join("dev.jsonl"),
        dev_limit: None,
        out: dir.join("bundle"),
        version: "tiny-1".parse().expect("a version"),
        runtime_library: runtime().runtime_library,
        include_weights: false,
        calibration_weights: CalibrationWeights::default(),
        calibration_prior: None,
    }
}

fn runtime() -> ClassifierOptions {
    let library = std::env::var("ORT_DYLIB_PATH")
        .expect("ORT_DYLIB_PATH names no ONNX Runtime library: run `cargo xtask test`, which sets it");
    ClassifierOptions::on_all_cores(PathBuf::from(library))
}

/// A random model, and a validation set that agrees with it often enough to be calibrated.
fn prepare(dir: &Path) {
    testing::checkpoint(&dir.join("checkpoint"), 2, 3);
    let training = r#"{"labels":["hate","offensive"],"base_model":{"name":"tiny","licence":"none","sha256":"00"},
        "data_sources":[{"name":"made up","licence":"CC0-1.0","lines":7}],"seed":1}"#;
    fs::write(dir.join("checkpoint/training.json"), training).expect("written");
    // The bundle of the same weights tells which texts the model scores high.
    let tiny = testing::bundle(&dir.join("same-weights"), "tiny-0", 3);
    let model = Classifier::load(tiny.dir(), &runtime()).expect("loads");
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
        let source = if i % 4 == 0 { HOSTILE } else { "a" };
        writeln!(lines, r#"{{"source":"{source}","text":"{text}","hate":{hate},"offensive":{offensive}}}"#)
            .expect("fits");
    }
    fs::write(dir.join("dev.jsonl"), lines).expect("written");
}

#[test]
fn a_checkpoint_becomes_a_bundle_that_scores_as_it_was_measured() {
    let dir = tempfile::tempdir().expect("a folder");
    prepare(dir.path());
    let options = AssembleOptions { include_weights: true, ..options(dir.path()) };
    let report = assemble(&options).expect("assembles");
    let (manifest, evaluation) = (report.bundle.manifest(), &report.evaluation);

    assert_eq!(manifest.data_sources[0].name, "made up");
    assert_eq!(manifest.baseline.chunks.iter().map(|c| c.items).sum::<u64>(), 240);
    assert_eq!(manifest.metrics["dev_lines"], 240);
    let hate = &evaluation.by_label[&manifest.labels[0]];
    let measures = &hate.overall.measures;
    assert_eq!((measures.items, hate.by_source.len(), hate.source_mean.sources), (240, 2, 2));
    assert!(measures.auroc > Some(0.7), "{measures:?}");
    assert!(measures.calibration_error < Some(0.2), "{measures:?}");
    let confusion = hate.overall.review.confusion;
    assert_eq!(confusion.macro_f1(), measures.macro_f1);
    assert!(report.to_string().contains("int8 against fp32"), "{report}");

    let parity = evaluation.int8.as_ref().expect("compared");
    assert!(parity.items == 240 && parity.mean_difference < 0.02, "{parity:?}");
    assert_eq!(parity.labels[&manifest.labels[0]].served_macro_f1, measures.macro_f1);
    assert!(evaluation.batch_independence.met, "{:?}", evaluation.batch_independence);

    // The weights in the bundle are what fine-tuning can start from.
    let weights = report.bundle.path(files::WEIGHTS);
    let exact = options.checkpoint.join(files::WEIGHTS);
    let [halved, exact] = [&weights, &exact].map(|path| fs::metadata(path).expect("weights").len());
    assert!(halved * 2 < exact + 16 * 1024, "{halved} of {exact} bytes");
    assert_eq!(Checkpoint::open(&options.out).expect("opens").classes().expect("a head"), 2);

    // What the baseline counted is what the classifier gives.
    let classifier = Classifier::load(&options.out, &runtime()).expect("loads");
    let set = DevSet::read(&options.dev, &manifest.labels, None).expect("reads");
    let scored = score_lines(&report.bundle, &set.lines, &runtime()).expect("scores");
    let mut counted = vec![0u64; modloop_bundle::GRID + 1];
    for (line, measured) in set.lines.iter().zip(scored) {
        let served = classifier.score(&[&line.text]).remove(0).expect("scored");
        assert_eq!(served.scores, measured.scores);
        assert_eq!(manifest.thresholds.decide(served.top), measured.decision);
        counted[modloop_bundle::cell(served.scores[0].get())] += 1;
    }
    let baseline = manifest.baseline.chunks.iter().map(|c| &c.scores[&manifest.labels[0]]);
    let measured = baseline
        .fold(vec![0u64; counted.len()], |sum, chunk| sum.iter().zip(chunk).map(|(a, b)| a + b).collect());
    assert_eq!(counted, measured);
}

#[test]
fn a_bundle_carries_its_evaluation_and_can_be_measured_again() {
    let dir = tempfile::tempdir().expect("a folder");
    prepare(dir.path());
    let options = options(dir.path());
    let report = assemble(&options).expect("assembles");
    let bundle = Bundle::open(&options.out).expect("opens");

    // Both files are listed, so a changed one is refused.
    for name in [files::EVALUATION, files::EVALUATION_PAGE] {
        assert!(bundle.manifest().files.contains_key(name), "{name} is not listed");
    }
    let json = fs::read(bundle.path(files::EVALUATION)).expect("there");
    let read: Evaluation = serde_json::from_slice(&json).expect("an evaluation");
    assert_eq!((&read.model, read.lines()), (bundle.version(), 240));
    assert_eq!(read.suite.cases.len(), report.evaluation.suite.cases.len());
    assert!(read.suite.cases.iter().zip(&report.evaluation.suite.cases).all(|(a, b)| a == b));

    // Measured again it is the same, but for the clock and fp32.
    let again = evaluate(&bundle, &options.dev, None, &runtime()).expect("measures");
    assert_eq!(again.by_label, report.evaluation.by_label);
    assert_eq!(again.suite, report.evaluation.suite);
    assert_eq!(again.identities, report.evaluation.identities);
    assert_eq!(again.calibration, bundle.manifest().calibration);
    assert_eq!(again.int8, None);

    let unlabeled = dir.path().join("unlabeled.jsonl");
    fs::write(&unlabeled, "{\"source\":\"a\",\"text\":\"hello\",\"spam\":1}\n").expect("written");
    let error = evaluate(&bundle, &unlabeled, None, &runtime()).expect_err("nothing to measure");
    assert!(matches!(error, EvaluationError::NothingToMeasure { .. }) && !error.is_retryable(), "{error}");
}

#[test]
fn the_page_shows_every_part_and_needs_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    prepare(dir.path());
    let options = options(dir.path());
    let mut evaluation = assemble(&options).expect("assembles").evaluation;
    let page = fs::read_to_string(options.out.join(files::EVALUATION_PAGE)).expect("a page");

    for id in ["summary", "label-hate", "label-offensive", "suite", "identities", "serving", "method"] {
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
        assert_eq!(page.matches(&format!("href=\"#{id}\"")).count().min(1), 1, "nothing leads to {id}");
    }
    // Two labels, each overall and for two sources, three plots each.
    assert_eq!(page.matches("<svg role=\"img\"").count(), 2 * 3 * 3);
    assert_eq!(page.matches("<svg ").count(), page.matches("</svg>").count());
    for tag in ["table", "details", "figure", "tr", "td"] {
        let (opened, closed) =
            (page.matches(&format!("<{tag}")).count(), page.matches(&format!("</{tag}>")).count());
        assert!(opened == closed && closed > 0, "<{tag}>: {opened} opened, {closed} closed");
    }
    // Nothing is fetched, and nothing a stranger wrote is markup.
    let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
    for bad in ["http:", "https:", "//cdn", "<script", "<link", "url("] {
        assert!(!elsewhere.contains(bad), "the page holds {bad}");
    }
    assert!(page.contains("b&#60;script&#62;&#38;"), "the hostile source is not shown escaped");
    assert!(page.contains("target met") || page.contains("target missed"));

    evaluation.suite.cases[0].text = "<img src=x onerror=alert(1)>".into();
    evaluation.suite.cases[0].failed = evaluation.labels.clone();
    evaluation.int8 = None;
    let page = evaluation.page().expect("draws");
    assert!(!page.contains("<img") && page.contains("&#60;img src=x onerror=alert(1)&#62;"));
    assert!(page.contains("int8 was not compared with fp32 here"));
}

#[test]
fn a_small_set_of_one_class_keeps_the_prior() {
    let dir = tempfile::tempdir().expect("a folder");
    prepare(dir.path());
    let mut options = options(dir.path());
    let dev = fs::read_to_string(&options.dev).expect("lines");
    fs::write(&options.dev, dev.replace("\"offensive\":1", "\"offensive\":0")).expect("written");
    let prior = Calibration::new(1.25, -0.5).expect("a rising line");
    let labels = testing::labels();
    options.calibration_prior = Some(BTreeMap::from([(labels[1].clone(), prior)]));
    let report = assemble(&options).expect("assembles");
    assert_eq!(report.bundle.manifest().calibration[&labels[1]], prior);
    assert_ne!(report.bundle.manifest().calibration[&labels[0]], prior);
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
