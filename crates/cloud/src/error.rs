use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// An AWS call that did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// The service could not be reached, was busy, or answered with a fault of its own.
    #[error("{what} failed and may work later: {reason}")]
    Unavailable {
        /// The call and what it was about.
        what: String,
        /// What the SDK said.
        reason: String,
    },
    /// The service refused: wrong name, missing permission, malformed request.
    #[error("{what} was refused: {reason}; check that it exists and that the function's role may use it")]
    Refused {
        /// The call and what it was about.
        what: String,
        /// What the service said.
        reason: String,
    },
    /// The answer is not of the form that is needed.
    #[error("{what} holds something else than expected: {reason}")]
    Unexpected {
        /// What was read.
        what: String,
        /// What is wrong with it; never its content, which may be secret.
        reason: String,
    },
    /// A file here could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
}

impl CloudError {
    /// Whether the same call may work a moment later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, CloudError::Unavailable { .. })
    }

    /// Sorts an SDK error by whether a retry can help. The SDK's own retries are over by then.
    pub(crate) fn from_sdk<E, R>(what: String, error: SdkError<E, R>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug,
    {
        const BUSY: [&str; 5] = [
            "ThrottlingException",
            "RequestThrottled",
            "SlowDown",
            "InternalServiceError",
            "ServiceUnavailable",
        ];
        let refused = match &error {
            SdkError::ServiceError(e) => !e.err().code().is_some_and(|code| BUSY.contains(&code)),
            SdkError::ConstructionFailure(_) => true,
            _ => false,
        };
        let reason = DisplayErrorContext(&error).to_string();
        if refused { CloudError::Refused { what, reason } } else { CloudError::Unavailable { what, reason } }
    }
}
