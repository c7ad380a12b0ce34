use chrono::{DateTime, Utc};
use modloop_domain::{ItemId, ItemState, SourceName};
use modloop_reddit::{Fullname, INFO_LIMIT};
use modloop_store::Store;

use crate::pass::Pass;
use crate::{FetchError, Queue, Report};

impl<Q: Queue> Pass<'_, Q> {
    /// Asks Reddit what became of stored items, the longest unchecked first: edited ones are stored and
    /// queued again, those that are gone lose text and author. Items seen since `started` need no check.
    pub(crate) async fn recheck(
        &self,
        started: DateTime<Utc>,
        report: &mut Report,
    ) -> Result<(), FetchError> {
        let limit = self.context.limits.recheck;
        let source = SourceName::reddit();
        let due = async |store: &Store| store.due_for_check(&source, limit, started).await;
        let due = self.context.database.ask(due).await?;
        for batch in due.chunks(INFO_LIMIT) {
            self.recheck_batch(batch, report).await?;
        }
        Ok(())
    }

    async fn recheck_batch(&self, batch: &[ItemId], report: &mut Report) -> Result<(), FetchError> {
        let names: Vec<Fullname> = batch.iter().filter_map(|item| item.as_str().parse().ok()).collect();
        let info = self.context.reddit.info(&names, self.deadline).await?;
        // Scrubbing cannot be undone, so one incomplete answer is not enough.
        let absent = self.context.reddit.info(&info.absent, self.deadline).await?.absent;
        let absent: Vec<ItemId> = absent.iter().map(Fullname::id).collect();
        self.note_bad_items(&info.bad, report);
        let stored = self.store(info.sightings, report).await?;
        self.scrub(&absent, ItemState::Absent, report).await?;
        self.context.database.ask(async |store| store.mark_checked(batch).await).await?;
        report.checked += batch.len();
        report.queued += self.queue(&stored.to_score(), report).await?;
        Ok(())
    }
}
