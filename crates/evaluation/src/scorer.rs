use modloop_bundle::{Bundle, Windowing, files};
use modloop_classifier::{ClassifierOptions, LogitModel, TextLogits};
use nix::time::{ClockId, clock_gettime};
use std::path::Path;

use crate::dev::DevLine;
use crate::progress::Progress;
use crate::scored::Judge;
use crate::{DevSet, EvaluationError, Identities, ScoredText, SuiteCase};

/// Texts scored between two steps of the progress bar.
const BATCH: usize = 128;
/// Texts of the validation set that are scored a second time, each alone.
const ALONE: usize = 256;

/// Scores lines with a bundle exactly as it serves them, in their order.
pub fn score_lines(
    bundle: &Bundle,
    lines: &[DevLine],
    runtime: &ClassifierOptions,
) -> Result<Vec<ScoredText>, EvaluationError> {
    let logits = Scorer::of_bundle(bundle, runtime)?.lines(lines, "scoring")?;
    Ok(Judge::of_bundle(bundle).scored(&logits)?)
}

/// Texts to logits, as in service but for the calibration.
pub(crate) struct Scorer {
    model: LogitModel,
}

/// The logits of everything that a model is measured on.
pub(crate) struct Logits {
    pub(crate) dev: Vec<TextLogits>,
    /// The first of `dev` once more, each scored alone.
    pub(crate) alone: Vec<TextLogits>,
    pub(crate) suite: Vec<TextLogits>,
    pub(crate) identities: Vec<TextLogits>,
    /// What one core takes.
    pub(crate) milliseconds_per_window: f64,
}

/// What is scored beside a validation set.
pub(crate) struct Probes {
    pub(crate) suite: Vec<SuiteCase>,
    pub(crate) identities: Identities,
}

impl Scorer {
    pub(crate) fn load(
        graph: &Path,
        tokenizer: &Path,
        windowing: Windowing,
        runtime: &ClassifierOptions,
    ) -> Result<Self, EvaluationError> {
        let model = LogitModel::load(graph, tokenizer, windowing, runtime)?;
        Ok(Self { model })
    }

    pub(crate) fn of_bundle(bundle: &Bundle, runtime: &ClassifierOptions) -> Result<Self, EvaluationError> {
        let (graph, tokenizer) = (bundle.path(files::MODEL), bundle.path(files::TOKENIZER));
        Self::load(&graph, &tokenizer, bundle.manifest().windowing, runtime)
    }

    /// Scores the set, a part of it again text by text, and the probes.
    pub(crate) fn everything(&self, dev: &DevSet, probes: &Probes) -> Result<Logits, EvaluationError> {
        let started = processor_milliseconds()?;
        let scored = self.lines(&dev.lines, "scoring the set")?;
        let milliseconds_per_window = (processor_milliseconds()? - started) / count_windows(&scored);
        let mut alone = Vec::new();
        for line in dev.lines.iter().take(ALONE) {
            alone.extend(self.together(&[(&line.source, &line.text)])?);
        }
        let cases: Vec<_> =
            probes.suite.iter().map(|case| ("functional suite", case.text.as_str())).collect();
        let sentences = probes.identities.texts();
        let sentences: Vec<_> = sentences.iter().map(|text| ("identities", text.as_str())).collect();
        Ok(Logits {
            dev: scored,
            alone,
            suite: self.texts(&cases, "scoring the functional suite")?,
            identities: self.texts(&sentences, "scoring identities")?,
            milliseconds_per_window,
        })
    }

    pub(crate) fn lines(
        &self,
        lines: &[DevLine],
        what: &'static str,
    ) -> Result<Vec<TextLogits>, EvaluationError> {
        let texts: Vec<_> = lines.iter().map(|line| (line.source.as_str(), line.text.as_str())).collect();
        self.texts(&texts, what)
    }

    /// The logits of texts, each with the source it comes from.
    fn texts(&self, texts: &[(&str, &str)], what: &'static str) -> Result<Vec<TextLogits>, EvaluationError> {
        let mut progress = Progress::start(what, texts.len());
        let mut all = Vec::with_capacity(texts.len());
        for batch in texts.chunks(BATCH) {
            all.extend(self.together(batch)?);
            progress.advance(batch.len());
        }
        Ok(all)
    }

    /// The logits of texts that are scored in one call.
    fn together(&self, texts: &[(&str, &str)]) -> Result<Vec<TextLogits>, EvaluationError> {
        let plain: Vec<&str> = texts.iter().map(|(_, text)| *text).collect();
        let scored = texts.iter().zip(self.model.logits(&plain));
        let refuse = |source: &str, error| EvaluationError::Score { text_source: source.to_owned(), error };
        scored.map(|((source, _), logits)| logits.map_err(|error| refuse(source, error))).collect()
    }
}

/// What all threads of this process took of the processor so far. By the clock on the wall a busy machine would count
/// as a slow model.
fn processor_milliseconds() -> Result<f64, EvaluationError> {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_err(EvaluationError::Clock)?;
    Ok(time.tv_sec() as f64 * 1e3 + time.tv_nsec() as f64 / 1e6)
}

fn count_windows(texts: &[TextLogits]) -> f64 {
    texts.iter().map(|text| f64::from(text.windows)).sum::<f64>().max(1.0)
}
