use std::future::Future;

use modloop_cloud::{CloudError, RetrainQueue};
use modloop_domain::{DriftRequest, RetrainMessage};

/// Where retrain requests go.
pub trait RetrainRequests {
    /// Sends one.
    fn send(&self, request: &DriftRequest) -> impl Future<Output = Result<(), CloudError>>;
}

impl RetrainRequests for RetrainQueue {
    async fn send(&self, request: &DriftRequest) -> Result<(), CloudError> {
        RetrainQueue::send(self, &RetrainMessage::Drift(request.clone())).await
    }
}
