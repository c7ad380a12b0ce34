//! Every backend against the others: tiny models, the champion, and a golden file of the champion's scores.
//! What this processor cannot run is named in the output, and so is what ran.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use modloop_bundle::testing;
use modloop_bundle::{Checkpoint, Precision, Windowing, export, files};
use modloop_classifier::{
    Backend, BackendChoice, Classifier, ClassifierOptions, Instructions, LoadError, LogitModel, TextScores,
};
use serde::{Deserialize, Serialize};

/// Told also when a test passes: libtest hides what `println!` says then.
macro_rules! say {
    ($($text:tt)*) => {{
        let _closed = writeln!(std::io::stderr(), $($text)*);
    }};
}

/// Logits of the tiny int8 model differ from fp32 by rounding of weights and activations: 2 to 7 hundredths in
/// the worst of 64 texts and 6 seeds, of logits of about ±3.
const TINY_TOLERANCE: f32 = 0.2;

/// Both compute the same int8 graph. ONNX Runtime gives a whole window one scale for its activations where the
/// kernels give each token its own, so scores differ a little, and more where a score is near one half: .0023 were measured.
const CHAMPION_MEAN: f32 = 0.005;
/// In the worst of the texts: .073 were measured.
const CHAMPION_WORST: f32 = 0.1;
/// Decisions at the bundle's thresholds that may differ among 200 texts. The texts are short and made up, so
/// more of them than of real ones lie near a threshold: 6 were measured.
const CHAMPION_FLIPS: usize = 8;

fn options(backend: BackendChoice) -> ClassifierOptions {
    // Only ONNX Runtime looks for its library.
    let library = match backend {
        BackendChoice::OnnxRuntime => std::env::var("ORT_DYLIB_PATH")
            .expect("ORT_DYLIB_PATH names no ONNX Runtime library: run `cargo xtask test`, which sets it"),
        _ => "/nowhere/libonnxruntime.so".to_owned(),
    };
    ClassifierOptions {
        threads: NonZeroUsize::MIN,
        backend,
        ..ClassifierOptions::on_all_cores(library.into())
    }
}

fn champion(backend: BackendChoice) -> Classifier {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/champion");
    Classifier::load(&dir, &options(backend)).expect("the champion loads")
}

/// The instruction sets that the kernels have, with whether this processor has them.
fn instruction_sets() -> [(Instructions, bool); 2] {
    [Instructions::Avx2, Instructions::Vnni].map(|set| (set, Instructions::available().contains(&set)))
}

/// Two hundred sentences of this project's own: harmless, rude, and in between.
fn texts() -> Vec<String> {
    let beginnings = [
        "You are",
        "The new mayor is",
        "My neighbour is",
        "That referee was",
        "I am",
        "Nobody here is",
        "People who park there are",
        "This recipe is",
        "Honestly, the moderators are",
        "We were",
    ];
    let endings = [
        "a wonderful person.",
        "the worst idiot I have ever met.",
        "so kind that it hurts.",
        "garbage!!!",
        "tired, hungry and late again.",
        "a complete moron, shut up.",
        "not as bad as they say.",
        "filthy liars who should leave.",
        "better with a little salt.",
        "stupid, and so are your friends",
        "waiting for the bus since noon.",
        "scum.",
        "invited to dinner on Sunday, bring cake.",
        "an absolute disgrace to this town.",
        "great, thanks for asking.",
        "pathetic losers 🤡",
        "fine. Just fine.",
        "too dumb to read a map",
        "proud of what we built together.",
        "worthless.",
    ];
    beginnings.iter().flat_map(|b| endings.iter().map(move |e| format!("{b} {e}"))).collect()
}

fn scores(classifier: &Classifier, texts: &[String]) -> Vec<TextScores> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    classifier.score(&texts).into_iter().map(|scored| scored.expect("every text has scores")).collect()
}

#[test]
fn the_expected_backend_is_the_one_that_runs() {
    let expected = match Instructions::detect() {
        Some(best) => Backend::Kernels(best),
        None => Backend::OnnxRuntime,
    };
    let auto = champion(BackendChoice::Auto);
    say!("auto ran {} on this processor", auto.backend());
    assert_eq!(auto.backend(), expected);
    assert_eq!(champion(BackendChoice::OnnxRuntime).backend(), Backend::OnnxRuntime);
    for (set, available) in instruction_sets() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/champion");
        match Classifier::load(&dir, &options(BackendChoice::Instructions(set))) {
            Ok(classifier) => assert_eq!(classifier.backend(), Backend::Kernels(set)),
            Err(error) => assert!(!available && matches!(error, LoadError::NotForKernels { .. }), "{error}"),
        }
    }
}

/// A tiny random model, in int8 and in fp32.
fn tiny(
    folder: &Path,
    seed: u64,
    precision: Precision,
    backend: BackendChoice,
) -> Result<LogitModel, LoadError> {
    testing::checkpoint(folder, testing::labels().len(), seed);
    let checkpoint = Checkpoint::open(folder).expect("a checkpoint");
    let graph = folder.join("graph.onnx");
    std::fs::write(&graph, export(&checkpoint, precision).expect("a graph")).expect("written");
    LogitModel::load(&graph, &folder.join(files::TOKENIZER), Windowing::default(), &options(backend))
}

fn logits(model: &LogitModel, texts: &[&str]) -> Vec<Vec<f32>> {
    model.logits(texts).into_iter().map(|logits| logits.expect("logits").logits).collect()
}

fn furthest(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn tiny_models_score_alike_on_every_backend_and_near_fp32() {
    let words = ["hello", "you", "are", "bad", "good", "cat", "dog", "hate", "love", "the"];
    let texts: Vec<String> = (0..64)
        .map(|n: usize| {
            (0..=n % 40).map(|w| words[(n * 7 + w * 3) % words.len()]).collect::<Vec<_>>().join(" ")
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for seed in 1..=6 {
        let folder = tempfile::tempdir().expect("a folder");
        let load = |precision, backend| tiny(folder.path(), seed, precision, backend).expect("it loads");
        let exact = logits(&load(Precision::Fp32, BackendChoice::OnnxRuntime), &texts);
        let onnxruntime = logits(&load(Precision::Int8, BackendChoice::OnnxRuntime), &texts);
        let mut ran = Vec::new();
        for (set, available) in instruction_sets() {
            if !available {
                say!("not run: kernels ({set}), which this processor lacks");
                continue;
            }
            let model = load(Precision::Int8, BackendChoice::Instructions(set));
            assert_eq!(model.backend(), Backend::Kernels(set), "the kernels take the tiny model");
            let own = logits(&model, &texts);
            let (from_exact, from_onnx) = (furthest(&own, &exact), furthest(&own, &onnxruntime));
            say!("seed {seed}, {set}: {from_exact:.3} from fp32, {from_onnx:.3} from ONNX Runtime's int8");
            assert!(from_exact < TINY_TOLERANCE && from_onnx < TINY_TOLERANCE);
            ran.push(own);
        }
        assert!(ran.windows(2).all(|pair| pair[0] == pair[1]), "instruction sets give the same bits");
    }
}

#[test]
fn fp32_is_refused_by_the_kernels_and_computed_by_onnx_runtime() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = tiny(folder.path(), 1, Precision::Fp32, BackendChoice::Kernels).err().expect("refused");
    assert!(matches!(refused, LoadError::NotForKernels { .. }), "{refused}");
    assert!(refused.to_string().contains("MODLOOP_BACKEND"), "{refused}");
}

#[test]
fn the_champion_scores_alike_by_the_kernels_and_by_onnx_runtime() {
    let texts = texts();
    assert_eq!(texts.len(), 200);
    let onnxruntime = champion(BackendChoice::OnnxRuntime);
    let theirs = scores(&onnxruntime, &texts);
    let thresholds = onnxruntime.thresholds();
    for (set, available) in instruction_sets() {
        if !available {
            say!("not run: kernels ({set}), which this processor lacks");
            continue;
        }
        let ours = scores(&champion(BackendChoice::Instructions(set)), &texts);
        let differences: Vec<f32> = ours
            .iter()
            .zip(&theirs)
            .flat_map(|(a, b)| a.scores.iter().zip(&b.scores).map(|(a, b)| (a.get() - b.get()).abs()))
            .collect();
        let mean = differences.iter().sum::<f32>() / differences.len() as f32;
        let worst = differences.iter().copied().fold(0.0, f32::max);
        let flips = ours
            .iter()
            .zip(&theirs)
            .filter(|(a, b)| thresholds.decide(a.top) != thresholds.decide(b.top))
            .count();
        say!("{set}: mean {mean:.4}, worst {worst:.4}, {flips} of 200 decisions differ");
        assert!(mean < CHAMPION_MEAN && worst < CHAMPION_WORST && flips <= CHAMPION_FLIPS);
    }
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Golden {
    model: String,
    labels: Vec<String>,
    /// By the kernels: the same bits on every processor that has them.
    kernels: Vec<Line>,
    /// By ONNX Runtime: near, since its kernels depend on the processor.
    onnxruntime: Vec<Line>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Line {
    text: String,
    scores: Vec<f32>,
}

fn lines(classifier: &Classifier) -> Vec<Line> {
    let texts: Vec<String> = texts().into_iter().step_by(7).chain(["".to_owned()]).collect();
    let scored = scores(classifier, &texts);
    let line = |(text, scored): (String, TextScores)| Line {
        text,
        scores: scored.scores.iter().map(|score| score.get()).collect(),
    };
    texts.into_iter().zip(scored).map(line).collect()
}

/// `MODLOOP_UPDATE_GOLDEN=1 cargo test -p modloop-classifier --test backends` writes the file anew, on a
/// processor with AVX2.
#[test]
fn the_champion_scores_what_the_golden_file_says_on_every_backend() {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/champion.json");
    let onnxruntime = champion(BackendChoice::OnnxRuntime);
    if std::env::var_os("MODLOOP_UPDATE_GOLDEN").is_some() {
        let golden = Golden {
            model: onnxruntime.version().to_string(),
            labels: onnxruntime.labels().iter().map(ToString::to_string).collect(),
            kernels: lines(&champion(BackendChoice::Kernels)),
            onnxruntime: lines(&onnxruntime),
        };
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        let text = serde_json::to_string_pretty(&golden).expect("JSON");
        std::fs::write(&file, text + "\n").expect("written");
    }
    let golden = std::fs::read_to_string(&file).expect("the golden file");
    let golden: Golden = serde_json::from_str(&golden).expect("JSON");
    assert_eq!(golden.model, onnxruntime.version().as_str(), "write the golden file of the new champion");
    assert!(golden.kernels.len() >= 30);
    for (set, available) in instruction_sets() {
        match available {
            true => {
                let found = lines(&champion(BackendChoice::Instructions(set)));
                assert_eq!(found, golden.kernels, "kernels ({set})");
                say!("ran: kernels ({set}), {} scores the same to the bit", found.len());
            }
            false => say!("not run: kernels ({set}), which this processor lacks"),
        }
    }
    let found = lines(&onnxruntime);
    for (found, golden) in found.iter().zip(&golden.onnxruntime) {
        assert_eq!(found.text, golden.text);
        for (found, golden) in found.scores.iter().zip(&golden.scores) {
            assert!((found - golden).abs() < CHAMPION_WORST, "{found} {golden}");
        }
    }
    say!("ran: onnxruntime, {} scores", found.len());
}
