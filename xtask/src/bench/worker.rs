//! Our side of the comparison, as a process of its own that does what the function's handler does with a
//! text: score it and decide.

use std::io::{BufRead, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use modloop_bundle::Bundle;
use modloop_classifier::{Classifier, ClassifierOptions, integer_peak};
use modloop_domain::Decision;
use serde::{Deserialize, Serialize};

/// As many items as SQS gives the function at a time.
const BATCH: usize = 10;

/// A process that measures, or is measured.
#[derive(clap::Args)]
pub(crate) struct Worker {
    mode: Mode,
    #[arg(long)]
    bundle: PathBuf,
    #[arg(long)]
    library: PathBuf,
    /// Nanoseconds since 1970 when the process was started.
    #[arg(long)]
    spawned: Option<u64>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Mode {
    Serve,
    Start,
    Peak,
}

/// Milliseconds from the start of a process to its first score, in parts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Until the program's own code runs.
    pub process: f64,
    /// Reading the bundle and checking every hash.
    pub bundle: f64,
    /// Loading weights and tokenizer.
    pub load: f64,
    /// The first text.
    pub first_score: f64,
    /// The most memory used until then, in megabytes.
    pub megabytes: f64,
}

impl Start {
    /// All parts.
    pub(crate) fn total(&self) -> f64 {
        self.process + self.bundle + self.load + self.first_score
    }
}

/// Does what the mode says, on one thread.
pub(crate) fn run(worker: &Worker) -> Result<()> {
    match worker.mode {
        Mode::Serve => serve(worker),
        Mode::Start => start(worker),
        Mode::Peak => {
            let peak = integer_peak().context("this processor has no AVX2")?;
            println!("{peak}");
            Ok(())
        }
    }
}

fn options(worker: &Worker) -> ClassifierOptions {
    ClassifierOptions {
        threads: NonZeroUsize::MIN,
        ..ClassifierOptions::on_all_cores(worker.library.clone())
    }
}

fn serve(worker: &Worker) -> Result<()> {
    let classifier = Classifier::load(&worker.bundle, &options(worker))?;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let texts: Vec<String> = serde_json::from_str(&line?)?;
        println!("{}", decide(&classifier, &texts)?);
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// How many of the texts would be flagged.
fn decide(classifier: &Classifier, texts: &[String]) -> Result<usize> {
    let mut flagged = 0;
    for batch in texts.chunks(BATCH) {
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        for scored in classifier.score(&batch) {
            flagged += usize::from(classifier.thresholds().decide(scored?.top) != Decision::Allow);
        }
    }
    Ok(flagged)
}

fn start(worker: &Worker) -> Result<()> {
    let spawned = worker.spawned.context("--spawned is missing")?;
    let process = SystemTime::now().duration_since(UNIX_EPOCH)?.saturating_sub(Duration::from_nanos(spawned));
    let mut clock = Instant::now();
    let mut part = || std::mem::replace(&mut clock, Instant::now()).elapsed().as_secs_f64() * 1000.0;
    let bundle = Bundle::open(&worker.bundle)?;
    let bundle_took = part();
    let classifier = Classifier::from_bundle(bundle, &options(worker))?;
    let load = part();
    decide(&classifier, &["the first text that this process has ever seen".to_owned()])?;
    let start = Start {
        process: process.as_secs_f64() * 1000.0,
        bundle: bundle_took,
        load,
        first_score: part(),
        megabytes: super::measure::peak_megabytes(std::process::id())?,
    };
    println!("{}", serde_json::to_string(&start)?);
    Ok(())
}
