use modloop_cloud::CloudError;
use modloop_reddit::{RedditError, SubredditNameError};
use modloop_store::StoreError;

/// Why a pass could not do its work. What it had done by then stays done.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Reddit, for every community alike.
    #[error(transparent)]
    Reddit(#[from] RedditError),
    /// A community that is not one of Reddit's.
    #[error(transparent)]
    Subreddit(#[from] SubredditNameError),
    /// Items are stored but not in the queue. A later pass queues them.
    #[error("new items are stored but could not be queued, a later pass will: {0}")]
    Queue(CloudError),
}

impl FetchError {
    /// Whether the next pass may do better by itself.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Reddit(error) => error.is_retryable(),
            Self::Subreddit(_) => false,
            Self::Queue(error) => error.is_retryable(),
        }
    }

    /// A password or a secret was refused. It may have been changed since this process read it; a new
    /// process reads the new one.
    pub fn is_about_credentials(&self) -> bool {
        matches!(self, Self::Store(StoreError::Refused { .. }) | Self::Reddit(RedditError::Credentials(_)))
    }
}
