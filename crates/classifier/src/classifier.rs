use std::path::Path;

use modloop_bundle::{Bundle, Calibration, files};
use modloop_domain::{Label, ModelVersion, Probability, Thresholds};

use crate::{Backend, ClassifierOptions, LoadError, LogitModel, ScoreError, TextLogits};

/// A model in service.
pub struct Classifier {
    bundle: Bundle,
    /// In the order of the labels.
    calibrations: Vec<Calibration>,
    model: LogitModel,
}

/// What a text scores.
#[derive(Debug, Clone, PartialEq)]
pub struct TextScores {
    /// In the order of [`Classifier::labels`].
    pub scores: Vec<Probability>,
    /// The highest of them; decisions are made by it.
    pub top: Probability,
    /// How undecided the model is, see [`entropy`].
    pub entropy: f32,
    /// Tokens of the whole text, special ones not counted.
    pub tokens: u32,
    /// How many of them the vocabulary does not know.
    pub unknown_tokens: u32,
    /// Windows scored; the highest counts.
    pub windows: u32,
    /// Whether text behind the last window was left out.
    pub truncated: bool,
}

impl Classifier {
    /// Checks the bundle in `bundle_dir` and loads it.
    pub fn load(bundle_dir: &Path, options: &ClassifierOptions) -> Result<Self, LoadError> {
        Self::from_bundle(Bundle::open(bundle_dir)?, options)
    }

    /// Loads a bundle that is open already.
    pub fn from_bundle(bundle: Bundle, options: &ClassifierOptions) -> Result<Self, LoadError> {
        let manifest = bundle.manifest();
        let calibrations = manifest
            .labels
            .iter()
            // `Bundle::open` refuses a label without one.
            .map(|label| manifest.calibration.get(label).copied().unwrap_or(Calibration::IDENTITY))
            .collect();
        let (graph, tokenizer) = (bundle.path(files::MODEL), bundle.path(files::TOKENIZER));
        let model = LogitModel::load(&graph, &tokenizer, manifest.windowing, options)?;
        Ok(Self { bundle, calibrations, model })
    }

    /// Scores each text, in order; one that fails does not touch the others. Texts that occur more than
    /// once are computed once.
    pub fn score(&self, texts: &[&str]) -> Vec<Result<TextScores, ScoreError>> {
        let logits = self.model.logits(texts).into_iter();
        logits.map(|logits| logits.and_then(|logits| self.calibrated(&logits))).collect()
    }

    /// The logits behind the scores, before calibration.
    pub fn logits(&self, texts: &[&str]) -> Vec<Result<TextLogits, ScoreError>> {
        self.model.logits(texts)
    }

    /// What computes it on this processor.
    pub fn backend(&self) -> Backend {
        self.model.backend()
    }

    /// The bundle it was loaded from.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// What the scores mean, in their order.
    pub fn labels(&self) -> &[Label] {
        self.bundle.labels()
    }

    /// Names the model for good.
    pub fn version(&self) -> &ModelVersion {
        self.bundle.version()
    }

    /// Where decisions change, unless a subreddit has thresholds of its own.
    pub fn thresholds(&self) -> Thresholds {
        self.bundle.manifest().thresholds
    }

    fn calibrated(&self, text: &TextLogits) -> Result<TextScores, ScoreError> {
        let calibrated = self.calibrations.iter().zip(&text.logits).map(|(c, logit)| c.apply(*logit));
        let scores: Vec<Probability> =
            calibrated.collect::<Result<_, _>>().map_err(|_| ScoreError::NotANumber)?;
        let higher = |a: Probability, b: Probability| if b > a { b } else { a };
        let top = scores.iter().copied().reduce(higher).ok_or(ScoreError::NotANumber)?;
        Ok(TextScores {
            entropy: entropy(&scores),
            scores,
            top,
            tokens: text.tokens,
            unknown_tokens: text.unknown_tokens,
            windows: text.windows,
            truncated: text.truncated,
        })
    }
}

/// The mean over labels of the binary entropy of each score, in bits: 0 when all are certain, 1 when all
/// are undecided.
pub fn entropy(scores: &[Probability]) -> f32 {
    let term = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
    let binary = |score: &Probability| {
        let p = f64::from(score.get());
        term(p) + term(1.0 - p)
    };
    let sum: f64 = scores.iter().map(binary).sum();
    (sum / scores.len().max(1) as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_zero_when_certain_and_one_when_undecided() {
        let p = |value| Probability::new(value).expect("a probability");
        assert_eq!(entropy(&[p(0.0), p(1.0)]), 0.0);
        assert_eq!(entropy(&[p(0.5), p(0.5)]), 1.0);
        assert!((entropy(&[p(0.25), p(0.0)]) - 0.405_639).abs() < 1e-6);
    }
}
