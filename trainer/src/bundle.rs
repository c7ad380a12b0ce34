//! `modloop-train bundle`: from a checkpoint to what is served.

use anyhow::{Context, Result};

use modloop_trainer::data;
use modloop_trainer::record::TrainingRecord;

use crate::options::BundleOptions;

/// Calibrates and measures on the answers that training would have seen: a label that some sources only
/// ever affirm would otherwise be calibrated as if nearly everything had it.
pub(crate) fn run(options: BundleOptions) -> Result<()> {
    let record = TrainingRecord::read(&options.checkpoint.join("training.json"))?;
    let dev = data::read(&options.dev, &record.labels)?;
    let dev = record.hyperparameters.mix.answered(dev, &record.labels);
    let work = tempfile::tempdir().context("cannot make a directory for temporary files")?;
    let answered = work.path().join("dev.jsonl");
    data::write(&answered, &dev, &record.labels)?;
    let report = modloop_evaluation::assemble(&options.assemble(answered))?;
    println!("{report}");
    Ok(())
}
