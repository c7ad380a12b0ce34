use std::future::Future;

use modloop_cloud::{CloudError, RetrainQueue};
use modloop_domain::{ModelVersion, SubredditName};
use modloop_store::{DueRequest, Window};
use serde::Serialize;

/// Asks for a retraining because a model does not fit a subreddit any more.
///
/// Sent once for each episode. A monitor that is killed after sending and before remembering it sends
/// the same once more: a receiver that knows `episode` already ignores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RetrainRequest {
    /// Names the episode for good.
    pub episode: i64,
    /// Where the model does not fit.
    pub subreddit: SubredditName,
    /// Which model.
    pub model_version: ModelVersion,
    /// Which statistic moved and by how much.
    pub reason: String,
    /// The window that made it drift.
    pub window: Window,
}

/// Where requests go; a queue on AWS, anything in a test.
pub trait RetrainRequests {
    /// Hands over one request.
    fn send(&self, request: &RetrainRequest) -> impl Future<Output = Result<(), CloudError>>;
}

impl RetrainRequests for RetrainQueue {
    async fn send(&self, request: &RetrainRequest) -> Result<(), CloudError> {
        RetrainQueue::send(self, request).await
    }
}

impl From<DueRequest> for RetrainRequest {
    fn from(due: DueRequest) -> Self {
        let DueRequest { episode, subreddit, model, reason, window } = due;
        Self { episode, subreddit, model_version: model, reason, window }
    }
}
