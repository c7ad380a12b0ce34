use std::io;
use std::path::PathBuf;

use modloop_bundle::{BundleError, CalibrationError};
use modloop_classifier::{LoadError, ScoreError};
use modloop_domain::Label;

/// Why a bundle could not be assembled or measured. Nothing half-made is left behind.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The checkpoint or the bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The exported graph or its runtime.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A file cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// `training.json` does not fit the checkpoint.
    #[error("{path}: {problem}")]
    Training {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A line of the validation set cannot be used.
    #[error("{path}, line {line}: {problem}; expected {{\"source\", \"text\", and per label 0, 1 or null}}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// No label of the model is annotated.
    #[error("{path} has no line with 0 or 1 for any label of the model; there is nothing to measure")]
    NothingToMeasure {
        /// The file.
        path: PathBuf,
    },
    /// A text has no score.
    #[error("a text of source {text_source} cannot be scored: {error}")]
    Score {
        /// Where the text comes from.
        text_source: String,
        /// Why it has none.
        error: ScoreError,
    },
    /// The processor's clock cannot be read.
    #[error("cannot read the time this process took of the processor: {0}")]
    Clock(nix::Error),
    /// A logit is no number.
    #[error(transparent)]
    Calibration(#[from] ScoreError),
    /// The page of plots cannot be drawn.
    #[error("the page of plots cannot be drawn: {0}")]
    Page(String),
    /// A label cannot be calibrated.
    #[error(
        "label {label} has {positives} positive and {negatives} negative lines in the validation set; \
         both are needed to calibrate it: add lines or leave the label out"
    )]
    OneClass {
        /// The label.
        label: Label,
        /// Lines that have it.
        positives: usize,
        /// Lines that are known not to.
        negatives: usize,
    },
    /// A label's logits say nothing, or the opposite.
    #[error("label {label} cannot be calibrated: {error}; the model has not learnt it: train it longer")]
    NotLearnt {
        /// The label.
        label: Label,
        /// The line that was fitted.
        error: CalibrationError,
    },
}

impl EvaluationError {
    pub(crate) fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the same call may succeed later without anybody changing its input.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Bundle(error) => error.is_retryable(),
            Self::Load(error) => error.is_retryable(),
            Self::Score { error, .. } => error.is_retryable(),
            Self::Io { source, .. } => source.kind() != io::ErrorKind::NotFound,
            _ => false,
        }
    }
}
