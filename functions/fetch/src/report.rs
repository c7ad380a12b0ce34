use modloop_domain::Community;
use modloop_reddit::{BadItem, Fullname};
use modloop_store::items::Stored;
use modloop_telemetry::Metrics;
use serde::Serialize;

use crate::FetchError;

/// What a pass did: the function's answer, its log line, and its metrics. Holds no text of items.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Items that changed: new, edited or restored.
    pub fetched: usize,
    /// Seen for the first time.
    pub new: usize,
    /// Known with another text.
    pub edited: usize,
    /// Removed or absent before, and shown by Reddit again.
    pub restored: usize,
    /// Put into the queue because they changed.
    pub queued: usize,
    /// Put into the queue because an earlier pass did not, or because they came to nothing.
    pub requeued: usize,
    /// Asked about by name.
    pub checked: usize,
    /// Gone from Reddit, so their text is gone from here.
    pub scrubbed: u64,
    /// Items that could not be read.
    pub bad_items: Vec<BadItemReport>,
    /// The communities whose turn came.
    pub communities: Vec<CommunityReport>,
    /// Time or the rate budget ran out; the next pass goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_early: Option<String>,
    /// Why the pass failed; what it did before stays done.
    #[serde(skip)]
    pub failure: Option<FetchError>,
}

/// What became of one community.
#[derive(Debug, Serialize)]
pub struct CommunityReport {
    /// Source and name.
    pub name: Community,
    /// Items that changed.
    pub fetched: usize,
    /// How far it was read.
    #[serde(flatten)]
    pub reading: Reading,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How far listings were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The page limit cut it short; the next pass goes on.
    pub unfinished: bool,
    /// More was posted since the last pass than Reddit shows.
    pub outrun: bool,
}

/// An item that could not be read.
#[derive(Debug, Serialize)]
pub struct BadItemReport {
    /// Its key, where at least that could be read.
    pub name: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

impl Report {
    pub(crate) fn count(&mut self, stored: &Stored) {
        self.new += stored.new.len();
        self.edited += stored.edited.len();
        self.restored += stored.restored.len();
        self.fetched = self.new + self.edited + self.restored;
    }

    pub(crate) fn bad_item(&mut self, item: &BadItem) {
        self.bad_items.push(BadItemReport {
            name: item.fullname.as_ref().map(Fullname::to_string),
            reason: item.reason.clone(),
        });
    }

    /// The first failure is the one that is reported.
    pub(crate) fn fail(&mut self, error: FetchError) {
        self.failure.get_or_insert(error);
    }

    /// Communities that could not be read.
    pub fn failed_communities(&self) -> usize {
        self.communities.iter().filter(|community| community.error.is_some()).count()
    }

    /// For CloudWatch.
    pub fn metrics(&self) -> Metrics {
        Metrics::new("fetch")
            .count("Fetched", self.fetched)
            .count("Queued", self.queued)
            .count("Requeued", self.requeued)
            .count("Scrubbed", self.scrubbed)
            .count("BadItems", self.bad_items.len())
            .count("FailedCommunities", self.failed_communities())
            .count("Failed", u64::from(self.failure.is_some()))
    }

    /// One line for the whole pass.
    pub fn log(&self) {
        tracing::info!(
            fetched = self.fetched,
            new = self.new,
            edited = self.edited,
            restored = self.restored,
            queued = self.queued,
            requeued = self.requeued,
            checked = self.checked,
            scrubbed = self.scrubbed,
            bad_items = self.bad_items.len(),
            communities = self.communities.len(),
            failed_communities = self.failed_communities(),
            ended_early = self.ended_early.as_deref(),
            "pass done"
        );
        if let Some(error) = &self.failure {
            tracing::error!(reason = %error, retryable = error.is_retryable(), "the pass failed; what it did before stays done");
        }
    }
}
