//! `modloop assemble`: a fine-tuned checkpoint becomes a bundle.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use modloop_domain::ModelVersion;
use modloop_evaluation::{AssembleOptions, CalibrationWeights};

use crate::output::say;
use crate::shipped;

/// Make a model bundle of a fine-tuned checkpoint: quantise, calibrate, measure, take the drift baseline.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  $ modloop assemble --checkpoint runs/1 --dev dev.jsonl.gz --version 2026-11-22.1 --out models/champion

The validation set is JSON lines {\"source\",\"text\"} with 0, 1 or null for each label, plain or gzipped.")]
pub struct AssembleArgs {
    /// Folder with config.json, model.safetensors, tokenizer.json and training.json.
    #[arg(long, value_name = "DIR")]
    checkpoint: PathBuf,
    /// Validation set.
    #[arg(long, value_name = "FILE")]
    dev: PathBuf,
    /// Use at most this many lines of it, chosen at random but always the same.
    #[arg(long, value_name = "N")]
    dev_limit: Option<usize>,
    /// Name of the model, such as 2026-11-22.1.
    #[arg(long)]
    version: ModelVersion,
    /// Where the bundle goes; one that is there is replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Put the weights into the bundle, for fine-tuning to start from.
    #[arg(long)]
    include_weights: bool,
    /// Calibrate with every line weighing the same instead of every source: for a set that is a sample of what
    /// will be scored.
    #[arg(long)]
    count_lines: bool,
    /// ONNX Runtime library; default the one that `cargo xtask` puts under .modloop.
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    runtime_library: Option<PathBuf>,
}

/// Makes the bundle and prints what was measured.
pub fn run(args: AssembleArgs) -> Result<()> {
    let options = AssembleOptions {
        checkpoint: args.checkpoint,
        dev: args.dev,
        dev_limit: args.dev_limit,
        out: args.out,
        version: args.version,
        runtime_library: shipped::runtime_library(args.runtime_library)?,
        include_weights: args.include_weights,
        calibration_weights: match args.count_lines {
            true => CalibrationWeights::Lines,
            false => CalibrationWeights::Sources,
        },
        calibration_prior: None,
    };
    say(&modloop_evaluation::assemble(&options)?.to_string())
}
