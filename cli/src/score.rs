//! `modloop score`: JSON lines in, scores out, in the order they came.

use std::io::{self, BufRead, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::{Context, Result};
use clap::Args;
use modloop_classifier::{Classifier, TextScores};
use modloop_domain::{Decision, Label, ModelVersion, Probability, text};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::shipped;

/// Lines that are read ahead while others are scored.
const READ_AHEAD: usize = 1024;
/// The most lines scored in one go; fewer when no more are waiting.
const BATCH: usize = 64;

/// Score texts: JSON lines {"id","text"} on standard input, one line of scores for each on standard output.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  $ echo '{\"id\": \"t1_abc\", \"text\": \"have a good day\"}' | modloop score
  {\"id\":\"t1_abc\",\"scores\":{\"hate\":0.01,\"offensive\":0.02},\"decision\":\"allow\",\"model\":\"2026-11-22.1\"}

Lines come out in the order they went in, each soon after it came. A line that is not of this form comes out as
{\"id\":null,\"line\":N,\"error\":\"…\"}; the others are scored all the same, and the exit code is 1.

MODLOOP_BACKEND chooses what computes: auto (the default), kernels or onnxruntime.")]
pub struct ScoreArgs {
    /// Folder of the model bundle; default the one in models/champion.
    #[arg(long, value_name = "DIR", env = "MODLOOP_BUNDLE")]
    bundle: Option<PathBuf>,
    /// ONNX Runtime library; default the one that `cargo xtask` puts under .modloop. The kernels need none.
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    runtime_library: Option<PathBuf>,
    /// Cores to use; default all.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Say on standard error which model computes, and how.
    #[arg(long, short)]
    verbose: bool,
}

/// Scores standard input until it ends. The exit code is 1 when a line could not be scored.
pub fn run(args: ScoreArgs) -> Result<ExitCode> {
    let verbose = args.verbose;
    let classifier = load(args)?;
    if verbose {
        eprintln!("model {}, computed by {}", classifier.version(), classifier.backend());
    }
    let (sender, lines) = sync_channel(READ_AHEAD);
    // Reading goes on while scoring; when the output is closed first, the process ends without it.
    let reader = thread::spawn(move || read_lines(io::stdin().lock(), &sender));
    let every_line = match score_lines(&classifier, &lines, &mut io::stdout().lock()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        result => result.context("cannot write to standard output")?,
    };
    match reader.join() {
        Ok(read) => read.context("cannot read standard input")?,
        Err(panic) => std::panic::resume_unwind(panic),
    }
    Ok(if every_line { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn load(args: ScoreArgs) -> Result<Classifier> {
    let bundle = shipped::bundle(args.bundle)?;
    let mut options = shipped::runtime(args.runtime_library)?;
    options.threads = args.threads.unwrap_or(options.threads);
    Ok(Classifier::load(&bundle, &options)?)
}

/// A line and its number, counted from 1.
type NumberedLine = (usize, Vec<u8>);

fn read_lines(mut input: impl BufRead, lines: &SyncSender<NumberedLine>) -> io::Result<()> {
    for number in 1.. {
        let mut line = Vec::new();
        let ended = input.read_until(b'\n', &mut line)? == 0;
        // Nobody takes lines any more once the output is closed.
        if ended || lines.send((number, line)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Whether every line had a score.
fn score_lines(
    classifier: &Classifier,
    lines: &Receiver<NumberedLine>,
    output: &mut impl Write,
) -> io::Result<bool> {
    let mut every_line = true;
    // Waits for one line, then takes what has piled up: a slow writer gets its answer at once, a fast
    // one gets all cores.
    while let Ok(first) = lines.recv() {
        let batch: Vec<NumberedLine> =
            std::iter::once(first).chain(lines.try_iter().take(BATCH - 1)).collect();
        every_line &= score_batch(classifier, &batch, output)?;
        output.flush()?;
    }
    Ok(every_line)
}

#[derive(Deserialize)]
struct Input {
    id: Value,
    text: String,
}

fn score_batch(classifier: &Classifier, batch: &[NumberedLine], output: &mut impl Write) -> io::Result<bool> {
    let filled = batch.iter().filter(|(_, line)| !line.trim_ascii().is_empty());
    let inputs: Vec<(usize, Result<Input, String>)> =
        filled.map(|(number, line)| (*number, parse(line))).collect();
    let texts: Vec<&str> = inputs.iter().flat_map(|(_, input)| input).map(|i| i.text.as_str()).collect();
    let mut scored = classifier.score(&texts).into_iter();
    let mut every_line = true;
    for (number, input) in &inputs {
        let scored = input.as_ref().map_err(|problem| (&Value::Null, problem.clone())).and_then(|input| {
            let scores = scored.next().unwrap_or(Err(modloop_classifier::ScoreError::NotANumber));
            scores.map(|scores| (&input.id, scores)).map_err(|error| (&input.id, error.to_string()))
        });
        every_line &= scored.is_ok();
        match scored {
            Ok((id, scores)) => write_line(output, &Scored::new(id, classifier, &scores))?,
            Err((id, error)) => write_line(output, &Failed { id, line: *number, error })?,
        }
    }
    Ok(every_line)
}

fn parse(line: &[u8]) -> Result<Input, String> {
    let line = std::str::from_utf8(line).map_err(|e| format!("the line is not UTF-8: {e}"))?;
    serde_json::from_str(&text::mend_surrogates(line))
        .map_err(|e| format!("the line is not of the form {{\"id\": …, \"text\": \"…\"}}: {e}"))
}

fn write_line(output: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *output, line)?;
    output.write_all(b"\n")
}

#[derive(Serialize)]
struct Scored<'a> {
    id: &'a Value,
    #[serde(serialize_with = "by_label")]
    scores: (&'a [Label], &'a [Probability]),
    decision: Decision,
    model: &'a ModelVersion,
}

impl<'a> Scored<'a> {
    fn new(id: &'a Value, classifier: &'a Classifier, scored: &'a TextScores) -> Self {
        let decision = classifier.thresholds().decide(scored.top);
        let scores = (classifier.labels(), scored.scores.as_slice());
        Self { id, scores, decision, model: classifier.version() }
    }
}

/// `{label: p}` in the model's order.
fn by_label<S: Serializer>(
    (labels, scores): &(&[Label], &[Probability]),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().zip(*scores))
}

#[derive(Serialize)]
struct Failed<'a> {
    id: &'a Value,
    line: usize,
    error: String,
}
