use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use modloop_bundle::{
    BaseModel, Calibration, Checkpoint, DataSource, ManifestParts, Windowing, files, write,
};
use modloop_classifier::ClassifierOptions;
use modloop_domain::{Label, ModelVersion, Probability, Thresholds};
use serde::Deserialize;

use crate::baseline::baseline;
use crate::calibrate::calibrate;
use crate::graphs::Graphs;
use crate::measure::Measured;
use crate::parity::compare;
use crate::scored::Judge;
use crate::scorer::{Probes, Scorer};
use crate::{CalibrationWeights, DevSet, EvaluationError, Report};

/// The file a training program leaves beside its weights.
const TRAINING: &str = "training.json";

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
    /// Whether the bundle carries the weights that fine-tuning starts from, in fp16.
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
    let runtime = ClassifierOptions::on_all_cores(options.runtime_library.clone());
    let checkpoint = open(&options.checkpoint, training.labels.len())?;
    let tokenizer = options.checkpoint.join(files::TOKENIZER);
    let graphs = Graphs::export(&checkpoint, &tokenizer, &dev.lines, &runtime, work.path())?;
    let load = |graph: &Path| Scorer::load(graph, &tokenizer, Windowing::default(), &runtime);

    let probes = Probes::of(&training.labels);
    let served = load(&graphs.int8)?.everything(&dev, &probes)?;
    let exact = load(&graphs.fp32)?.lines(&dev.lines, "comparing with fp32")?;
    let (weights, prior) = (options.calibration_weights, options.calibration_prior.as_ref());
    let judge = Judge {
        calibrations: calibrate(&training.labels, &dev.lines, &served.dev, weights, prior)?,
        labels: training.labels.clone(),
        thresholds: default_thresholds(),
    };
    let (scored, exact) = (judge.scored(&served.dev)?, judge.scored(&exact)?);
    let measured = Measured { judge: &judge, set: &dev, scored: &scored, logits: &served, probes: &probes };
    let mut evaluation = measured.evaluation(options.version.clone())?;
    evaluation.int8 = Some(compare(&judge.labels, &dev.lines, &scored, &exact, judge.thresholds));
    evaluation.write(work.path())?;

    let parts = ManifestParts {
        version: options.version.clone(),
        calibration: judge.calibration(),
        windowing: Windowing::default(),
        thresholds: judge.thresholds,
        metrics: serde_json::json!(evaluation.metrics()),
        baseline: baseline(&judge.labels, &served.dev, &scored),
        labels: training.labels,
        base_model: training.base_model,
        data_sources: training.data_sources,
    };
    let bundle = write(&options.out, parts, &sources(options, &graphs, work.path())?)?;
    Ok(Report { bundle, evaluation })
}

/// The bundle's files; what has to be made of the checkpoint first is made in `work`.
fn sources(
    options: &AssembleOptions,
    graphs: &Graphs,
    work: &Path,
) -> Result<Vec<(&'static str, PathBuf)>, EvaluationError> {
    let kept = |name| (name, options.checkpoint.join(name));
    let made = |name| (name, work.join(name));
    let mut sources = vec![
        (files::MODEL, graphs.int8.clone()),
        kept(files::TOKENIZER),
        kept(files::CONFIG),
        made(files::EVALUATION),
        made(files::EVALUATION_PAGE),
    ];
    if options.include_weights {
        let halved = made(files::WEIGHTS);
        let weights = Checkpoint::open(&options.checkpoint)?.in_half_precision()?;
        fs::write(&halved.1, weights).map_err(EvaluationError::io("write", &halved.1))?;
        sources.push(halved);
    }
    Ok(sources)
}

/// A checkpoint with a head for this many labels.
fn open(dir: &Path, labels: usize) -> Result<Checkpoint, EvaluationError> {
    let checkpoint = Checkpoint::open(dir)?;
    let classes = checkpoint.classes()?;
    if classes == labels {
        return Ok(checkpoint);
    }
    let problem = format!("names {labels} labels, but the checkpoint has a head for {classes}");
    Err(EvaluationError::Training { path: dir.join(TRAINING), problem })
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
