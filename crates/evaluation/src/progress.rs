use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal to draw a bar on.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows on standard error how far long work has come.
pub(crate) struct Progress {
    what: &'static str,
    bar: Option<ProgressBar>,
    done: usize,
    total: usize,
    started: Instant,
    written: Instant,
}

impl Progress {
    pub(crate) fn start(what: &'static str, total: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| bar(what, total));
        let now = Instant::now();
        Self { what, bar, done: 0, total, started: now, written: now }
    }

    pub(crate) fn advance(&mut self, by: usize) {
        self.done += by;
        if let Some(bar) = &self.bar {
            bar.inc(by as u64);
        } else if self.written.elapsed() >= LINE_EVERY || self.done == self.total {
            self.written = Instant::now();
            let seconds = self.started.elapsed().as_secs();
            eprintln!("{}: {} of {} after {seconds} s", self.what, self.done, self.total);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(what: &'static str, total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}, {eta} left");
    let bar = ProgressBar::new(total as u64).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
