//! Progress with time left: a bar on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::batches::Batch;

/// Without a terminal, one line after this many steps.
const STEPS_A_LINE: usize = 50;

/// Progress of one pass.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    total: usize,
    /// Steps of an earlier run, which took none of this one's time.
    before: usize,
    done: usize,
    lines: usize,
    tokens: usize,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts counting towards `total` steps of `what`, `done` of which are behind already.
    pub fn new(what: &'static str, total: usize, done: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg} {eta} left");
            let bar = ProgressBar::new(total as u64).with_prefix(what).with_position(done as u64);
            bar.reset_eta();
            match style {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self { what, total, before: done, done, lines: 0, tokens: 0, started: Instant::now(), bar }
    }

    /// One more step, over the lines and tokens of `batch`; `note` is shown beside it.
    pub fn step(&mut self, batch: &Batch, note: impl FnOnce() -> String) {
        self.done += 1;
        self.lines += batch.lines();
        self.tokens += batch.tokens();
        match &self.bar {
            Some(bar) => {
                bar.set_message(note());
                bar.inc(1);
            }
            None if self.done.is_multiple_of(STEPS_A_LINE) || self.done == self.total => {
                eprintln!("{}", self.line(&note()));
            }
            None => {}
        }
    }

    fn line(&self, note: &str) -> String {
        let spent = self.started.elapsed();
        let steps = (self.done - self.before) as f64;
        let left = spent.as_secs_f64() / steps * self.total.saturating_sub(self.done) as f64;
        let rate = self.lines as f64 / spent.as_secs_f64();
        let (what, done, total) = (self.what, self.done, self.total);
        let gap = if note.is_empty() { "" } else { " " };
        format!(
            "{what} {done}/{total}{gap}{note} {rate:.1} lines/s, {} left",
            minutes(Duration::from_secs_f64(left))
        )
    }
}

impl Progress {
    /// What was done and how fast, padding counted as tokens.
    pub fn summary(&self) -> String {
        let spent = self.started.elapsed();
        let Self { what, lines, tokens, .. } = self;
        let rate = *tokens as f64 / spent.as_secs_f64();
        format!("{what}: {lines} lines, {tokens} tokens in {}, {rate:.0} tokens/s", minutes(spent))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn minutes(time: Duration) -> String {
    format!("{}m{:02}s", time.as_secs() / 60, time.as_secs() % 60)
}
