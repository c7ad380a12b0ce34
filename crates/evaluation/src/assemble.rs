use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use modloop_bundle::{
    BaseModel, Calibration, Checkpoint, DataSource, ManifestParts, Precision, Windowing, export, files, write,
};
use modloop_classifier::{ClassifierOptions, TextLogits};
use modloop_domain::{Label, ModelVersion, Probability, Thresholds};
use serde::Deserialize;

use crate::calibrate::calibrate;
use crate::decided::{baseline, decide, measure_labels};
use crate::parity::compare;
use crate::scorer::Scorer;
use crate::{CalibrationWeights, DevSet, EvaluationError, Metrics, Report};

/// The file a training program leaves beside its weights.
const TRAINING: &str = "training.json";
/// Texts on which the served graph is compared with fp32.
const PARITY_SAMPLE: usize = 1000;

/// What [`assemble`] works on.
#[derive(Debug, Clone)]
pub struct AssembleOptions {
    /// Folder with config.json, model.safetensors, tokenizer.json and training.json.
    pub checkpoint: PathBuf,
    /// Validation set: JSON lines with `source`, `text` and per label 0, 1 or null; may be gzipped.
    pub dev: PathBuf,
    /// At most this many of its lines, chosen at random but always the same.
    pub dev_limit: Option<usize>,
    /// Where the bundle goes; one that is there is replaced.
    pub out: PathBuf,
    /// Names the model for good.
    pub version: ModelVersion,
    /// The ONNX Runtime library.
    pub runtime_library: PathBuf,
    /// Whether the bundle carries the weights that fine-tuning starts from.
    pub include_weights: bool,
    /// How much each line weighs while labels are calibrated.
    pub calibration_weights: CalibrationWeights,
    /// What was believed before, the champion's calibration say: it counts for
    /// [`platt::PRIOR_LINES`](crate::platt::PRIOR_LINES) lines, and a label with one class in the
    /// validation set keeps it.
    pub calibration_prior: Option<BTreeMap<Label, Calibration>>,
}

/// What training says about a checkpoint; anything else in the file is for people.
#[derive(Deserialize)]
struct Training {
    labels: Vec<Label>,
    base_model: BaseModel,
    data_sources: Vec<DataSource>,
}

/// Makes a bundle of a checkpoint and measures it as it will be served.
pub fn assemble(options: &AssembleOptions) -> Result<Report, EvaluationError> {
    let training = read_training(&options.checkpoint.join(TRAINING))?;
    let dev = DevSet::read(&options.dev, &training.labels, options.dev_limit)?;
    let work = tempfile::tempdir().map_err(EvaluationError::io("create", &std::env::temp_dir()))?;
    let graphs = Graphs::export(&options.checkpoint, training.labels.len(), work.path())?;
    let scorer = Scorer::new(
        options.checkpoint.join(files::TOKENIZER),
        ClassifierOptions::on_all_cores(options.runtime_library.clone()),
    );

    let started = Instant::now();
    let served = scorer.logits(&graphs.int8, &dev.lines, "scoring the validation set")?;
    let milliseconds_per_window = scorer.core_milliseconds(started.elapsed()) / count_windows(&served);
    let (weights, prior) = (options.calibration_weights, options.calibration_prior.as_ref());
    let calibrations = calibrate(&training.labels, &dev.lines, &served, weights, prior)?;
    let thresholds = default_thresholds();
    let decided = decide(&served, &calibrations, thresholds)?;

    let sample = dev.lines.len().min(PARITY_SAMPLE);
    let exact = scorer.logits(&graphs.fp32, &dev.lines[..sample], "comparing with fp32")?;
    let exact = decide(&exact, &calibrations, thresholds)?;
    let metrics = Metrics {
        dev_lines: dev.lines.len(),
        threshold: thresholds.review().get(),
        labels: measure_labels(&training.labels, &dev.lines, &decided, thresholds),
        parity: compare(&decided[..sample], &exact),
        milliseconds_per_window,
    };
    let parts = ManifestParts {
        version: options.version.clone(),
        calibration: training.labels.iter().cloned().zip(calibrations).collect(),
        windowing: Windowing::default(),
        thresholds,
        metrics: serde_json::json!(&metrics),
        baseline: baseline(&training.labels, &served, &decided),
        labels: training.labels,
        base_model: training.base_model,
        data_sources: training.data_sources,
    };
    let bundle = write(&options.out, parts, &graphs.sources(options))?;
    Ok(Report { bundle, metrics })
}

fn read_training(path: &Path) -> Result<Training, EvaluationError> {
    let json = fs::read(path).map_err(EvaluationError::io("read", path))?;
    serde_json::from_slice(&json).map_err(|e| EvaluationError::Training {
        path: path.to_owned(),
        problem: format!("does not say how the model was trained: {e}"),
    })
}

/// What a subreddit gets that has no thresholds of its own.
fn default_thresholds() -> Thresholds {
    let p = |value| Probability::new(value).expect("the constant is a probability");
    Thresholds::new(p(0.5), p(0.95)).expect("the constants are in order")
}

fn count_windows(texts: &[TextLogits]) -> f64 {
    texts.iter().map(|text| f64::from(text.windows)).sum::<f64>().max(1.0)
}

/// The same model twice.
struct Graphs {
    int8: PathBuf,
    fp32: PathBuf,
}

impl Graphs {
    fn export(dir: &Path, labels: usize, work: &Path) -> Result<Self, EvaluationError> {
        let checkpoint = Checkpoint::open(dir)?;
        let classes = checkpoint.classes()?;
        if classes != labels {
            let problem = format!("names {labels} labels, but the checkpoint has a head for {classes}");
            return Err(EvaluationError::Training { path: dir.join(TRAINING), problem });
        }
        let write = |name: &str, precision| {
            let path = work.join(name);
            fs::write(&path, export(&checkpoint, precision)?).map_err(EvaluationError::io("write", &path))?;
            Ok::<_, EvaluationError>(path)
        };
        Ok(Self { int8: write("int8.onnx", Precision::Int8)?, fp32: write("fp32.onnx", Precision::Fp32)? })
    }

    /// The bundle's files.
    fn sources(&self, options: &AssembleOptions) -> Vec<(&'static str, PathBuf)> {
        let kept = |name| (name, options.checkpoint.join(name));
        let mut sources =
            vec![(files::MODEL, self.int8.clone()), kept(files::TOKENIZER), kept(files::CONFIG)];
        sources.extend(options.include_weights.then(|| kept(files::WEIGHTS)));
        sources
    }
}
