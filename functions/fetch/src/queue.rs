use modloop_cloud::{CloudError, ScoreQueue, Sent};
use modloop_domain::ItemId;

use crate::pass::Pass;
use crate::{FetchError, Report};

/// Where the names of items to score go.
pub trait Queue {
    /// Sends one message an item.
    ///
    /// # Errors
    /// Only when nothing was accepted; afterwards what failed is in [`Sent::refused`].
    fn send(&self, items: &[ItemId]) -> impl Future<Output = Result<Sent, CloudError>>;
}

impl Queue for ScoreQueue {
    async fn send(&self, items: &[ItemId]) -> Result<Sent, CloudError> {
        ScoreQueue::send(self, items).await
    }
}

/// So many leftovers are queued in one pass.
const MAX_LEFTOVERS: u32 = 1000;

impl<Q: Queue> Pass<'_, Q> {
    /// Queues items and notes it; returns how many are in the queue. What could not be queued stays due,
    /// so a queue out of order does not stop a pass.
    pub(crate) async fn queue(&self, items: &[ItemId], report: &mut Report) -> Result<usize, FetchError> {
        if items.is_empty() {
            return Ok(0);
        }
        let sent = match self.context.queue.send(items).await {
            Ok(sent) => sent,
            Err(error) => {
                tracing::error!(items = items.len(), reason = %error, "items could not be queued");
                report.fail(FetchError::Queue(error));
                return Ok(0);
            }
        };
        if let Some((item, reason)) = sent.refused.first() {
            tracing::warn!(refused = sent.refused.len(), %item, reason, "the queue refused items; a later pass sends them again");
        }
        self.context.database.ask(async |store| store.mark_queued(&sent.accepted).await).await?;
        Ok(sent.accepted.len())
    }

    /// Queues what earlier passes stored and did not queue, and what was queued and came to nothing.
    pub(crate) async fn queue_leftovers(&self, report: &mut Report) -> Result<(), FetchError> {
        let wait = self.context.limits.requeue_after;
        let due = self.context.database.ask(async |store| store.due_again(MAX_LEFTOVERS, wait).await).await?;
        report.requeued += self.queue(&due, report).await?;
        Ok(())
    }
}
