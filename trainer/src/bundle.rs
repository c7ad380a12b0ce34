//! `modloop-train bundle`: from a checkpoint to what is served.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use modloop_domain::ModelVersion;
use modloop_evaluation::{AssembleOptions, CalibrationWeights, Report};
use modloop_trainer::data;
use modloop_trainer::mix::Mix;
use modloop_trainer::record::TrainingRecord;
use modloop_trainer::start::Start;

/// Which checkpoint becomes which bundle.
#[derive(Debug, Args)]
pub(crate) struct BundleOptions {
    /// Checkpoint, as `train` writes it
    #[arg(long)]
    pub(crate) checkpoint: PathBuf,
    /// Data to calibrate and measure on, JSON lines, plain or .gz; or a folder of such files
    #[arg(long)]
    pub(crate) dev: PathBuf,
    /// At most this many of its lines, chosen by their text
    #[arg(long)]
    pub(crate) dev_limit: Option<usize>,
    /// Directory of the bundle; one that is there is replaced
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Names the model for good, such as 2026-11-22.1
    #[arg(long)]
    pub(crate) version: ModelVersion,
    /// The ONNX Runtime library, libonnxruntime.so
    #[arg(long, env = "ORT_DYLIB_PATH")]
    pub(crate) runtime_library: PathBuf,
    /// Put the weights in the bundle, so that later training can start from it
    #[arg(long)]
    pub(crate) include_weights: bool,
    /// A bundle whose calibration counts as if it were some more lines, for a small dev set
    #[arg(long, value_name = "BUNDLE")]
    pub(crate) calibration_prior: Option<PathBuf>,
}

pub(crate) fn run(options: BundleOptions) -> Result<()> {
    println!("{}", assemble(options)?);
    Ok(())
}

/// Calibrates and measures on the answers that training would have seen: a label that some sources only
/// ever affirm would otherwise be calibrated as if nearly everything had it.
pub(crate) fn assemble(options: BundleOptions) -> Result<Report> {
    let record = TrainingRecord::read(&options.checkpoint.join(modloop_trainer::checkpoint::RECORD))?;
    let dev = data::read(&options.dev, &record.labels)?;
    // What words suggest may teach, but a probability must be held against what people said.
    let mix = Mix { by_words: BTreeSet::new(), ..record.hyperparameters.mix };
    let dev = mix.answered(dev, &record.labels);
    let work = tempfile::tempdir().context("cannot make a directory for temporary files")?;
    let answered = work.path().join("dev.jsonl");
    data::write(&answered, &dev, &record.labels)?;
    let prior = options.calibration_prior.as_deref().map(calibration_of).transpose()?;
    Ok(modloop_evaluation::assemble(&AssembleOptions {
        checkpoint: options.checkpoint,
        dev: answered,
        dev_limit: options.dev_limit,
        out: options.out,
        version: options.version,
        runtime_library: options.runtime_library,
        include_weights: options.include_weights,
        calibration_weights: CalibrationWeights::default(),
        calibration_prior: prior.flatten(),
    })?)
}

type Calibrations = BTreeMap<modloop_domain::Label, modloop_bundle::Calibration>;

/// `None` for a base model, which has none.
fn calibration_of(path: &Path) -> Result<Option<Calibrations>> {
    Ok(Start::open(path)?.manifest().map(|manifest| manifest.calibration.clone()))
}
