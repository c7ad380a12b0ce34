use chrono::{DateTime, Utc};
use modloop_cloud::CloudError;
use modloop_domain::ModelVersion;
use modloop_store::StoreError;

/// Why a run of the monitor failed, or a part of it did.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// A run by hand asked for a length that is none.
    #[error("window_hours {hours} cannot be used: expected hours from 0.02 to 8784, such as 24")]
    WindowLength {
        /// As asked for.
        hours: f64,
    },
    /// A run by hand asked for a window whose predictions are not all there.
    #[error(
        "the window that ends at {end} is not over yet, it is {now}; its report would be final too early"
    )]
    WindowNotOver {
        /// As asked for.
        end: DateTime<Utc>,
        /// When it was asked.
        now: DateTime<Utc>,
    },
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A model has no baseline that this code can read.
    #[error(
        "the baseline of model {model} cannot be used: {reason}; register the model with a bundle of this release"
    )]
    Baseline {
        /// Which model.
        model: ModelVersion,
        /// What is wrong with it.
        reason: String,
    },
    /// A retrain request could not be sent.
    #[error("the retrain request of episode {episode} was not sent: {source}")]
    Request {
        /// Which episode.
        episode: i64,
        /// What the queue said.
        source: CloudError,
    },
    /// Everything else was done, and is not done again by a later run.
    #[error("{} parts of the window failed and the others are done; {}", .0.len(), sentences(.0))]
    Incomplete(Vec<MonitorError>),
}

fn sentences(failures: &[MonitorError]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl MonitorError {
    /// Whether the same run may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            MonitorError::Store(error) => error.is_retryable(),
            MonitorError::Request { source, .. } => source.is_retryable(),
            MonitorError::Incomplete(failures) => failures.iter().any(MonitorError::is_retryable),
            MonitorError::WindowLength { .. }
            | MonitorError::WindowNotOver { .. }
            | MonitorError::Baseline { .. } => false,
        }
    }

    /// Whether the database refused this process's user name and password.
    pub fn is_refused_login(&self) -> bool {
        match self {
            MonitorError::Store(error) => matches!(error, StoreError::Refused { .. }),
            MonitorError::Incomplete(failures) => failures.iter().any(MonitorError::is_refused_login),
            _ => false,
        }
    }
}
