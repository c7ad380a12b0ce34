use modloop_classifier::{Classifier, ScoreError, TextScores};
use modloop_domain::{Label, ModelVersion};

/// A model at work.
pub trait Scorer: Send + Sync {
    /// Names the model for good.
    fn version(&self) -> &ModelVersion;

    /// What it scores, in the order of its scores.
    fn labels(&self) -> &[Label];

    /// Scores each text, in order, on all cores; one that fails does not touch the others.
    fn score(&self, texts: &[&str]) -> Vec<Result<TextScores, ScoreError>>;
}

impl Scorer for Classifier {
    fn version(&self) -> &ModelVersion {
        Classifier::version(self)
    }

    fn labels(&self) -> &[Label] {
        &self.bundle().manifest().labels
    }

    fn score(&self, texts: &[&str]) -> Vec<Result<TextScores, ScoreError>> {
        Classifier::score(self, texts)
    }
}
