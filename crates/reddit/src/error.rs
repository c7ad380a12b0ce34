use std::fmt;
use std::time::Duration;

use crate::SubredditName;

use crate::transport::innermost;

/// What went wrong with a request. Holds no secrets, no item text and no answer bodies.
#[derive(Debug, thiserror::Error)]
pub enum RedditError {
    /// This subreddit cannot be read; the others can.
    #[error("r/{name} cannot be read: {problem}")]
    Subreddit {
        /// Which one.
        name: SubredditName,
        /// Why.
        problem: SubredditProblem,
    },
    /// Reddit does not know the application, or its secret is wrong.
    #[error("Reddit refuses the credentials ({0}); check client_id and client_secret")]
    Credentials(String),
    /// Reddit blocks this client altogether.
    #[error(
        "Reddit blocks this client with a web page instead of an answer; set REDDIT_USER_AGENT to platform:app:version (by /u/name) and check that this address may use the API"
    )]
    Blocked,
    /// The rate budget has no room for another request before the deadline.
    #[error("the rate budget has room again in {} s, which is past the deadline", .wait.as_secs())]
    Budget {
        /// How long it would have taken.
        wait: Duration,
    },
    /// The deadline passed before a request was sent or answered.
    #[error("no time was left for {0}")]
    Deadline(String),
    /// An answer with a status that says neither yes nor no.
    #[error("{request} was answered with status {status}")]
    Status {
        /// What was asked.
        request: String,
        /// The HTTP status.
        status: u16,
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// No answer in time.
    #[error("{request} was not answered within {} s", .timeout.as_secs_f32())]
    Timeout {
        /// What was asked.
        request: String,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// No connection, or it broke.
    #[error("{request} failed: {}", innermost(.source))]
    Connection {
        /// What was asked.
        request: String,
        /// The cause, without the address.
        source: reqwest::Error,
    },
    /// An answer that is not what Reddit documents, such as broken JSON with status 200.
    #[error("{request} was answered with {problem}")]
    Malformed {
        /// What was asked.
        request: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The settings cannot work.
    #[error("{0}")]
    Settings(String),
}

impl RedditError {
    /// Whether the same request may well succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            Self::Timeout { .. } | Self::Connection { .. } | Self::Malformed { .. } => true,
            Self::Subreddit { .. }
            | Self::Credentials(_)
            | Self::Blocked
            | Self::Budget { .. }
            | Self::Deadline(_)
            | Self::Settings(_) => false,
        }
    }

    /// Whether time or requests ran out: nothing is wrong, the rest can wait for a later pass.
    pub fn is_out_of_budget(&self) -> bool {
        matches!(self, Self::Budget { .. } | Self::Deadline(_))
    }

    /// Whether it would happen with every other subreddit too.
    pub fn concerns_everything(&self) -> bool {
        self.is_out_of_budget() || matches!(self, Self::Credentials(_) | Self::Blocked | Self::Settings(_))
    }

    /// What `Retry-After` asked for.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Why a subreddit cannot be read. It stays so until somebody does something about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubredditProblem {
    /// Only for members.
    Private,
    /// Closed by Reddit.
    Banned,
    /// Behind a warning that an application cannot accept.
    Quarantined,
    /// No such subreddit: misspelt or deleted.
    NotFound,
    /// Forbidden for another reason, in Reddit's word.
    Forbidden(String),
}

impl fmt::Display for SubredditProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => {
                f.write_str("it is private; make the application's account a member or disable it")
            }
            Self::Banned => f.write_str("Reddit has banned it; disable it"),
            Self::Quarantined => {
                f.write_str("it is quarantined; opt in with the application's account or disable it")
            }
            Self::NotFound => f.write_str("there is no such subreddit; check the spelling"),
            Self::Forbidden(reason) => write!(f, "Reddit forbids it ({reason})"),
        }
    }
}
