use modloop_bundle::BundleError;
use modloop_cloud::CloudError;
use modloop_evaluation::EvaluationError;
use modloop_registry::RegistryError;
use modloop_store::StoreError;

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub enum RetrainError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// S3 or SageMaker.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// MLflow.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A bundle that does not hold together.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A model that cannot be measured.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// The labeler gave nothing for any text.
    #[error("no labels: {0}")]
    Labeler(String),
    /// A file here.
    #[error("cannot {doing}: {source}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// A thread ended early.
    #[error("{0} was broken off")]
    BrokenOff(&'static str),
    /// A run that lacks what its state promises.
    #[error("run {run} has {problem}; it cannot go on")]
    Incomplete {
        /// Which run.
        run: i64,
        /// What is missing or wrong.
        problem: String,
    },
    /// What came in is no event that this function knows. Trying again does not help.
    #[error("the event cannot be read: {0}")]
    Event(String),
}

impl RetrainError {
    /// Whether the same step may succeed later without anything being changed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Cloud(error) => error.is_retryable(),
            Self::Registry(error) => error.is_retryable(),
            Self::Labeler(_) | Self::File { .. } | Self::BrokenOff(_) => true,
            Self::Bundle(_) | Self::Evaluation(_) | Self::Incomplete { .. } | Self::Event(_) => false,
        }
    }

    /// Whether the database refused this process's user name and password.
    pub fn is_refused_login(&self) -> bool {
        matches!(self, Self::Store(StoreError::Refused { .. }))
    }

    pub(crate) fn file(doing: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::File { doing, source }
    }
}
