use chrono::{DateTime, Utc};
use modloop_domain::Fullname;
use modloop_reddit::INFO_LIMIT;
use modloop_store::ScrubReason;

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
        let due = self.context.database.ask(async |store| store.due_for_check(limit, started).await).await?;
        for batch in due.chunks(INFO_LIMIT) {
            self.recheck_batch(batch, report).await?;
        }
        Ok(())
    }

    async fn recheck_batch(&self, batch: &[Fullname], report: &mut Report) -> Result<(), FetchError> {
        let info = self.context.reddit.info(batch, self.deadline).await?;
        // Scrubbing cannot be undone, so one incomplete answer is not enough.
        let absent = self.context.reddit.info(&info.absent, self.deadline).await?.absent;
        self.note_bad_items(&info.bad, report);
        let stored = self.store(info.sightings, report).await?;
        self.scrub(&absent, ScrubReason::Absent, report).await?;
        self.context.database.ask(async |store| store.mark_checked(batch).await).await?;
        report.checked += batch.len();
        report.queued += self.queue(&stored.to_score(), report).await?;
        Ok(())
    }
}
