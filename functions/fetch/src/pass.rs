use modloop_domain::{Community, ItemId, ItemKind, ItemState, SourceName};
use modloop_reddit::{BadItem, Deadline, Fullname, Gone, ItemState as Shown, Sighting};
use modloop_store::Store;
use modloop_store::items::Stored;

use crate::report::{CommunityReport, Reading};
use crate::{Context, FetchError, Queue, Report};

/// One pass over all subreddits.
pub(crate) struct Pass<'a, Q> {
    pub(crate) context: &'a Context<Q>,
    /// No request is under way after this.
    pub(crate) deadline: Deadline,
}

impl<Q: Queue> Pass<'_, Q> {
    /// Leftovers first: they have waited longest, and need nothing of Reddit.
    pub(crate) async fn run(&self, report: &mut Report) -> Result<(), FetchError> {
        let started = self.context.database.ask(async |store| store.now().await).await?;
        self.queue_leftovers(report).await?;
        let read = match self.read_communities(report).await {
            Ok(()) => self.recheck(started, report).await,
            unread => unread,
        };
        match read {
            Err(FetchError::Reddit(error)) if error.is_out_of_budget() => {
                tracing::info!(reason = %error, "the pass ends early; the next one goes on");
                report.ended_early = Some(error.to_string());
                Ok(())
            }
            outcome => outcome,
        }
    }

    async fn read_communities(&self, report: &mut Report) -> Result<(), FetchError> {
        let source = SourceName::reddit();
        for name in self.context.database.ask(async |store| store.enabled_communities(&source).await).await? {
            let before = report.fetched;
            let (reading, error) = match self.read_community(&name, report).await {
                Ok(reading) => (reading, None),
                Err(FetchError::Reddit(error)) if !error.concerns_everything() => {
                    tracing::warn!(community = %name, reason = %error, "the community could not be read");
                    (Reading::default(), Some(error.to_string()))
                }
                Err(error) => return Err(error),
            };
            self.note_outcome(&name, error.as_deref()).await?;
            report.communities.push(CommunityReport {
                name,
                fetched: report.fetched - before,
                reading,
                error,
            });
        }
        Ok(())
    }

    async fn read_community(
        &self,
        community: &Community,
        report: &mut Report,
    ) -> Result<Reading, FetchError> {
        let posts = self.read_listing(community, ItemKind::Post, report).await?;
        let comments = self.read_listing(community, ItemKind::Comment, report).await?;
        Ok(Reading {
            unfinished: posts.unfinished || comments.unfinished,
            outrun: posts.outrun || comments.outrun,
        })
    }

    async fn note_outcome(&self, community: &Community, error: Option<&str>) -> Result<(), FetchError> {
        let note = async |store: &Store| store.record_pass(community, error).await;
        Ok(self.context.database.ask(note).await?)
    }

    /// Stores what Reddit shows and scrubs what it says is gone. The items that wait for scores now are
    /// returned for the queue.
    pub(crate) async fn store(
        &self,
        sightings: Vec<Sighting>,
        report: &mut Report,
    ) -> Result<Stored, FetchError> {
        let (mut live, mut deleted, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        for sighting in sightings {
            match sighting.state {
                Shown::Live(item) => live.push(*item),
                Shown::Gone(Gone::Deleted) => deleted.push(sighting.fullname.id()),
                Shown::Gone(Gone::Removed) => removed.push(sighting.fullname.id()),
            }
        }
        let stored = self.context.database.ask(async |store| store.store_items(&live).await).await?;
        self.scrub(&deleted, ItemState::Deleted, report).await?;
        self.scrub(&removed, ItemState::Removed, report).await?;
        report.count(&stored);
        Ok(stored)
    }

    pub(crate) async fn scrub(
        &self,
        items: &[ItemId],
        state: ItemState,
        report: &mut Report,
    ) -> Result<(), FetchError> {
        if !items.is_empty() {
            report.scrubbed +=
                self.context.database.ask(async |store| store.scrub(items, state).await).await?;
        }
        Ok(())
    }

    pub(crate) fn note_bad_items(&self, bad: &[BadItem], report: &mut Report) {
        for item in bad {
            let name = item.fullname.as_ref().map(Fullname::as_str);
            tracing::warn!(
                item = name,
                reason = item.reason,
                "an item could not be read; the others of its page were"
            );
            report.bad_item(item);
        }
    }
}
