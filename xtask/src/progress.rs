use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::{OwoColorize, Stream};

/// Something under way: a spinner with the time gone by on a terminal, plain lines elsewhere.
pub(crate) struct Spinner {
    bar: ProgressBar,
    name: String,
}

/// Shows that `name` has begun.
pub(crate) fn spinner(name: &str) -> Spinner {
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new_spinner().with_style(
            ProgressStyle::with_template("  {spinner} {msg} {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        )
    } else {
        eprintln!("  … {name}");
        ProgressBar::hidden()
    };
    bar.set_message(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    Spinner { bar, name: name.to_owned() }
}

impl Spinner {
    /// Leaves one line behind that says how it ended.
    pub(crate) fn finish(&self, good: bool, seconds: f64) {
        self.bar.finish_and_clear();
        let mark = if good { "✓" } else { "✗" };
        let coloured = mark.if_supports_color(Stream::Stderr, |m| {
            if good { m.green().to_string() } else { m.red().to_string() }
        });
        eprintln!("  {coloured} {:<44} {seconds:>7.1} s", self.name);
    }
}
