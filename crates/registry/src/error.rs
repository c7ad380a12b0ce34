use std::path::PathBuf;
use std::time::Duration;

use modloop_bundle::BundleError;

/// What went wrong with MLflow. Holds no secrets.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The settings cannot work.
    #[error("{0}")]
    Settings(String),
    /// MLflow refuses the login.
    #[error(
        "MLflow refuses the login ({call} was answered with status {status}); check MLFLOW_SECRET_ARN, \
         or the permission sagemaker-mlflow:* of the role"
    )]
    Login {
        /// What was asked.
        call: String,
        /// The HTTP status.
        status: u16,
    },
    /// MLflow said no, or had a fault of its own.
    #[error("{call} was refused by MLflow ({status} {code}): {message}")]
    Refused {
        /// What was asked.
        call: String,
        /// The HTTP status.
        status: u16,
        /// MLflow's `error_code`, such as `RESOURCE_DOES_NOT_EXIST`; empty when the answer is not MLflow's.
        code: String,
        /// MLflow's words, cut short.
        message: String,
    },
    /// No answer in time.
    #[error("{call} was not answered within {} s", .timeout.as_secs_f32())]
    Timeout {
        /// What was asked.
        call: String,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// No connection, or it broke.
    #[error("{call} failed: {}; check that MLFLOW_TRACKING_URI is right and the server runs", innermost(.source))]
    Connection {
        /// What was asked.
        call: String,
        /// The cause, without the address.
        source: reqwest::Error,
    },
    /// An answer that is not what MLflow documents.
    #[error("{call} was answered with {problem}")]
    Malformed {
        /// What was asked.
        call: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No AWS credentials, or none that sign.
    #[error("cannot sign requests to SageMaker's MLflow: {0}")]
    Signing(String),
    /// Artifacts of this run are out of this client's reach.
    #[error("artifacts of run {run} lie at {place}, which this client cannot {action}")]
    Artifacts {
        /// MLflow's id of the run.
        run: String,
        /// Its artifact address.
        place: String,
        /// What was tried.
        action: &'static str,
    },
    /// A file here cannot be used.
    #[error("cannot {action} {}: {source}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The bundle cannot be packed.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

impl RegistryError {
    /// Whether the same call may well succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status == 408 || *status == 429 || *status >= 500,
            Self::Timeout { .. } | Self::Connection { .. } | Self::Malformed { .. } => true,
            // Credentials of a role come over the network too.
            Self::Signing(_) => true,
            Self::Settings(_)
            | Self::Login { .. }
            | Self::Artifacts { .. }
            | Self::File { .. }
            | Self::Bundle(_) => false,
        }
    }

    /// Whether MLflow says that there is no such thing.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "RESOURCE_DOES_NOT_EXIST")
    }

    /// Whether MLflow says that there is such a thing already.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "RESOURCE_ALREADY_EXISTS")
    }

    /// Wraps an error of a file.
    pub(crate) fn file(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

/// The cause at the bottom, which says more than "error sending request".
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
