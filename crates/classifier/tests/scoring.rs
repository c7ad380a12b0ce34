//! What a user of the classifier notices, on a tiny random model and on the shipped one where it is.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use modloop_bundle::testing::{self, LAYERS};
use modloop_bundle::{Checkpoint, Precision, Windowing, export, export_observed, files};
use modloop_classifier::{Classifier, ClassifierOptions, LoadError, LogitModel, Observer, TextScores};

fn options(threads: usize) -> ClassifierOptions {
    let library = std::env::var("ORT_DYLIB_PATH")
        .expect("ORT_DYLIB_PATH names no ONNX Runtime library: run `cargo xtask test`, which sets it");
    ClassifierOptions {
        threads: NonZeroUsize::new(threads).expect("at least one thread"),
        ..ClassifierOptions::on_all_cores(library.into())
    }
}

fn champion() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/champion")
}

/// The tiny bundle, and the shipped one where the repository holds it.
fn classifiers(threads: usize) -> Vec<Classifier> {
    let dir = tempfile::tempdir().expect("a folder");
    let tiny = testing::bundle(&dir.path().join("bundle"), "tiny-1", 7);
    let mut loaded = vec![Classifier::load(tiny.dir(), &options(threads)).expect("the tiny bundle loads")];
    if champion().exists() {
        loaded.push(Classifier::load(&champion(), &options(threads)).expect("the champion loads"));
    }
    loaded
}

fn scores(classifier: &Classifier, texts: &[&str]) -> Vec<TextScores> {
    classifier.score(texts).into_iter().map(|scored| scored.expect("every text has scores")).collect()
}

#[test]
fn a_score_does_not_depend_on_the_batch() {
    let long = "you are bad and the cat is good. ".repeat(60);
    let texts = ["hello world", "you are a bad dog!", "", &long, "hate", "🙂🙃", "the the the the the"];
    for classifier in [classifiers(1), classifiers(2)].into_iter().flatten() {
        let together = scores(&classifier, &texts);
        for (text, among_others) in texts.iter().zip(&together) {
            let alone = &scores(&classifier, &[text])[0];
            assert_eq!(alone, among_others, "{text:?}");
        }
    }
}

#[test]
fn order_and_repeats_do_not_matter() {
    for classifier in classifiers(2) {
        let there = scores(&classifier, &["good cat", "bad dog", "good cat"]);
        let back = scores(&classifier, &["bad dog", "good cat"]);
        assert_eq!(there[0], there[2]);
        assert_eq!((&there[0], &there[1]), (&back[1], &back[0]));
        assert_ne!(there[0].scores, there[1].scores);
    }
}

#[test]
fn one_thread_and_many_agree() {
    let texts = ["hello world", "you are bad", "i love the cat"];
    for (one, many) in classifiers(1).iter().zip(&classifiers(4)) {
        assert_eq!(scores(one, &texts), scores(many, &texts));
    }
}

#[test]
fn hostile_texts_are_scored_like_any_other() {
    let endless_word = "a".repeat(40_000);
    let endless_text = "so bad ".repeat(6_000);
    let texts = [
        endless_word.as_str(),
        endless_text.as_str(),
        "😀😃😄😁😆",
        "before\0after",
        "\u{202e}desrever\u{202c} \u{200f}marks",
        "\u{fffd}\u{fffd}",
        "[CLS] [SEP] [PAD] [MASK]",
    ];
    for classifier in classifiers(2) {
        let scored = scores(&classifier, &texts);
        assert!(scored.iter().all(|s| s.scores.len() == classifier.labels().len()));
        assert!(scored.iter().all(|s| (0.0..=1.0).contains(&s.entropy)));
        let long = &scored[1];
        let limit = classifier.bundle().manifest().windowing.limit();
        assert!(long.truncated && long.windows as usize == limit && long.tokens >= 12_000, "{long:?}");
        assert!(!scored[0].truncated && scored[0].unknown_tokens == 1, "{:?}", scored[0]);
        // Written out, a special token is ordinary text.
        assert!(scored[6].tokens > 4, "{:?}", scored[6]);
    }
}

#[test]
fn a_text_of_nothing_scores_as_the_empty_window() {
    for classifier in classifiers(1) {
        let scored = scores(&classifier, &["", " \n\t ", "\0"]);
        assert!(scored.iter().all(|s| s == &scored[0]), "{scored:?}");
        assert_eq!((scored[0].tokens, scored[0].windows), (0, 1));
    }
    assert!(classifiers(1)[0].score(&[]).is_empty());
}

#[test]
fn the_highest_window_counts() {
    for classifier in classifiers(2) {
        let start = "bad ".repeat(126);
        let end = "good ".repeat(126);
        let both = scores(&classifier, &[&format!("{start}{end}"), &start, &end]);
        assert!(both[0].windows > 2 && both[0].tokens == 252, "{:?}", both[0]);
        for label in 0..classifier.labels().len() {
            // Its first window is the first text; windows in between may score higher still.
            assert!(both[0].scores[label].get() >= both[1].scores[label].get() - 1e-6);
        }
    }
}

/// The tiny model in fp32, which ONNX Runtime computes.
fn exact(dir: &Path, options: &ClassifierOptions) -> Result<LogitModel, LoadError> {
    testing::checkpoint(dir, testing::labels().len(), 7);
    let checkpoint = Checkpoint::open(dir).expect("a checkpoint");
    let graph = dir.join("fp32.onnx");
    std::fs::write(&graph, export(&checkpoint, Precision::Fp32).expect("a graph")).expect("written");
    LogitModel::load(&graph, &dir.join(files::TOKENIZER), Windowing::default(), options)
}

#[test]
fn an_observed_graph_shows_what_its_layers_are_given_for_every_window() {
    let dir = tempfile::tempdir().expect("a folder");
    let exact = exact(dir.path(), &options(1)).expect("it loads");
    let graph = dir.path().join("observed.onnx");
    let checkpoint = Checkpoint::open(dir.path()).expect("a checkpoint");
    std::fs::write(&graph, export_observed(&checkpoint).expect("a graph")).expect("written");
    let tokenizer = dir.path().join(files::TOKENIZER);
    let loaded = Observer::load(&graph, &tokenizer, Windowing::default(), &options(1));
    let mut observer = loaded.expect("the graph loads");
    let long = "good cat ".repeat(90);
    for (text, exact) in ["bad dog", &long].iter().zip(exact.logits(&["bad dog", &long])) {
        let exact = exact.expect("logits");
        let (mut logits, mut layers) = (Vec::new(), 0);
        let see = |name: &str, width: usize, rows: &[f32]| match name {
            "logits" => logits.push(rows.to_vec()),
            _ => {
                assert!(rows.len() > width && rows.len().is_multiple_of(width), "{name}");
                layers += 1;
            }
        };
        observer.observe(text, see).expect("it computes");
        assert_eq!((logits.len(), layers), (exact.windows as usize, 4 * LAYERS * exact.windows as usize));
        for (label, expected) in exact.logits.iter().enumerate() {
            let highest = logits.iter().map(|window| window[label]).fold(f32::MIN, f32::max);
            assert!((highest - expected).abs() < 1e-4, "{highest} {expected}");
        }
    }
}

#[test]
fn the_served_model_stays_near_fp32() {
    let dir = tempfile::tempdir().expect("a folder");
    let exact = exact(dir.path(), &options(1)).expect("it loads");
    let served = &classifiers(1)[0];
    let long = "you are bad and the cat is good. ".repeat(12);
    let texts = ["hello world", "you are a bad dog!", "", &long, "hate", "the the the the the"];
    for ((text, exact), served) in texts.iter().zip(exact.logits(&texts)).zip(served.logits(&texts)) {
        let (exact, served) = (exact.expect("logits").logits, served.expect("logits").logits);
        let difference = exact.iter().zip(&served).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Random weights of this width give logits of about ±3.
        assert!(difference < 0.2, "{text:?}: {served:?} where fp32 has {exact:?}");
    }
}

#[test]
fn a_missing_library_is_refused_with_the_variable_that_sets_it() {
    let library = PathBuf::from("/nowhere/libonnxruntime.so");
    // Only the process' first load looks at the library, so this needs a process of its own.
    if std::env::var_os("MODLOOP_TEST_CHILD").is_some() {
        let dir = tempfile::tempdir().expect("a folder");
        let options = ClassifierOptions::on_all_cores(library);
        let error = exact(dir.path(), &options).err().expect("refused");
        assert!(!error.is_retryable());
        println!("refused: {error}");
        return;
    }
    let test = "a_missing_library_is_refused_with_the_variable_that_sets_it";
    let output = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args([test, "--exact", "--nocapture"])
        .env("MODLOOP_TEST_CHILD", "1")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let words = "refused: there is no ONNX Runtime library at /nowhere/libonnxruntime.so; ORT_DYLIB_PATH";
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_broken_bundle_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let tiny = testing::bundle(&dir.path().join("bundle"), "tiny-1", 7);
    std::fs::write(tiny.path("tokenizer.json"), "{}").expect("written");
    let error = Classifier::load(tiny.dir(), &options(1)).err().expect("refused");
    assert!(matches!(error, LoadError::Bundle(_)) && error.to_string().contains("tokenizer.json"), "{error}");
}
