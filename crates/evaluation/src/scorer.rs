use std::path::{Path, PathBuf};
use std::time::Duration;

use modloop_bundle::Windowing;
use modloop_classifier::{ClassifierOptions, LogitModel, TextLogits};

use crate::progress::Progress;
use crate::{DevLine, EvaluationError};

/// Texts scored between two steps of the progress bar.
const BATCH: usize = 128;

/// Scores a validation set with one graph after another, everything else being equal.
pub(crate) struct Scorer {
    tokenizer: PathBuf,
    runtime: ClassifierOptions,
}

impl Scorer {
    pub(crate) fn new(tokenizer: PathBuf, runtime: ClassifierOptions) -> Self {
        Self { tokenizer, runtime }
    }

    /// The logits of every line, as in service but for the calibration.
    pub(crate) fn logits(
        &self,
        graph: &Path,
        lines: &[DevLine],
        what: &'static str,
    ) -> Result<Vec<TextLogits>, EvaluationError> {
        let model = LogitModel::load(graph, &self.tokenizer, Windowing::default(), &self.runtime)?;
        let mut progress = Progress::start(what, lines.len());
        let mut all = Vec::with_capacity(lines.len());
        for batch in lines.chunks(BATCH) {
            let texts: Vec<&str> = batch.iter().map(|line| line.text.as_str()).collect();
            for (line, logits) in batch.iter().zip(model.logits(&texts)) {
                let refuse = |error| EvaluationError::Score { text_source: line.source.clone(), error };
                all.push(logits.map_err(refuse)?);
            }
            progress.advance(batch.len());
        }
        Ok(all)
    }

    /// What one core would have taken, in milliseconds.
    pub(crate) fn core_milliseconds(&self, elapsed: Duration) -> f64 {
        elapsed.as_secs_f64() * 1000.0 * self.runtime.threads.get() as f64
    }
}
