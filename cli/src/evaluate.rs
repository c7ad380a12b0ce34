//! `modloop evaluate`: how good a bundle is on labeled lines.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use modloop_bundle::{Bundle, files};
use modloop_classifier::ClassifierOptions;

use crate::output::say;
use crate::shipped;

/// Measure a model on labeled texts, exactly as it is served; nothing is calibrated anew.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  $ modloop evaluate --data dev.jsonl.gz --out report
  $ xdg-open report/evaluation.html

The labeled set is JSON lines {\"source\",\"text\"} with 0, 1 or null for each label of the model, plain or gzipped.
The functional suite and the false alarms by identity are measured along with it.")]
pub struct EvaluateArgs {
    /// Folder of the model bundle; default the one in models/champion.
    #[arg(long, value_name = "DIR", env = "MODLOOP_BUNDLE")]
    bundle: Option<PathBuf>,
    /// Labeled texts.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Use at most this many of them, chosen at random but always the same.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Where evaluation.html and evaluation.json go.
    #[arg(long, value_name = "DIR", default_value = "evaluation")]
    out: PathBuf,
    /// Print all that was measured as JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// ONNX Runtime library; default the one that `cargo xtask` puts under .modloop.
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    runtime_library: Option<PathBuf>,
}

/// Writes the page and prints the table.
pub fn run(args: EvaluateArgs) -> Result<()> {
    let bundle = Bundle::open(&shipped::bundle(args.bundle)?)?;
    let runtime = ClassifierOptions::on_all_cores(shipped::runtime_library(args.runtime_library)?);
    let evaluation = modloop_evaluation::evaluate(&bundle, &args.data, args.limit, &runtime)?;
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    evaluation.write(&args.out)?;
    let page = args.out.join(files::EVALUATION_PAGE);
    if args.json {
        eprintln!("plots are in {}", page.display());
        let json = serde_json::to_string(&evaluation).context("cannot write the evaluation as JSON")?;
        say(&json)
    } else {
        say(&format!("{}\n{evaluation}\nplots are in {}", bundle.version(), page.display()))
    }
}
