//! `modloop drift`: how far one file of numbers has moved from another.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use modloop_drift::{Comparison, Sample};

use crate::output::say;

/// Compare two files of numbers and print drift statistics as JSON.
#[derive(Debug, Args)]
pub struct DriftArgs {
    /// What is normal: a file with one number a line.
    #[arg(long, value_name = "FILE")]
    reference: PathBuf,
    /// What is now: a file with one number a line.
    #[arg(long, value_name = "FILE")]
    current: PathBuf,
}

/// Prints the statistics on standard output.
pub fn run(args: DriftArgs) -> Result<()> {
    let (reference, current) = (read(&args.reference)?, read(&args.current)?);
    let comparison = Comparison::numerical(&reference, &current);
    let json = serde_json::to_string_pretty(&comparison).context("cannot write the statistics as JSON")?;
    say(&json)
}

/// Empty lines say nothing; anything else that is no number is an error with its line.
fn read(path: &Path) -> Result<Sample> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let mut numbers = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let at = index + 1;
        let line = line.with_context(|| format!("cannot read {name}, line {at}; it must be UTF-8 text"))?;
        let text = line.trim_start_matches('\u{feff}').trim();
        if !text.is_empty() {
            numbers.push(number(text).with_context(|| format!("{name}, line {at}"))?);
        }
    }
    Sample::of(numbers).map_err(|error| anyhow!("{name}: {error}"))
}

fn number(text: &str) -> Result<f64> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => {
            let shown: String = text.chars().take(40).collect();
            bail!("{shown:?} is no finite number; one number a line is expected, such as 0.25")
        }
    }
}
