use chrono::{DateTime, TimeDelta, Utc};
use modloop_domain::{Community, ItemKind};
use modloop_reddit::{Fullname, Page, Sighting, SubredditName};
use modloop_store::communities::{Gap, Mark};

use crate::pass::Pass;
use crate::report::Reading;
use crate::{FetchError, Queue, Report};

/// An item may show up in a listing a moment after its neighbours, so this much below the watermark is read
/// again, as long as that brings news.
const OVERLAP: TimeDelta = TimeDelta::minutes(2);

/// Reddit shows about a thousand items of a listing; near that, the end of a listing says nothing.
const NEAR_LISTING_DEPTH: usize = 900;

/// A walk down one listing, from its top or from where an earlier pass stopped.
struct Walk<'a> {
    community: &'a Community,
    kind: ItemKind,
    /// The next page starts after this.
    after: Option<Fullname>,
    /// The newest item of the walk: the watermark to be.
    top: Option<Mark>,
    /// The watermark that was: what is older was stored by earlier passes.
    floor: Option<DateTime<Utc>>,
    /// When the last item so far was posted.
    oldest: Option<DateTime<Utc>>,
    items: usize,
    /// At the floor or at the end of the listing.
    over: bool,
    outrun: bool,
}

impl<Q: Queue> Pass<'_, Q> {
    /// Closes the gap that an earlier pass left, then reads from the newest item down to the watermark.
    pub(crate) async fn read_listing(
        &self,
        community: &Community,
        kind: ItemKind,
        report: &mut Report,
    ) -> Result<Reading, FetchError> {
        let feed = self.context.database.ask(async |store| store.feed(community, kind).await).await?;
        let mut pages = self.context.limits.pages;
        let mut watermark = feed.watermark;
        if let Some(Gap { cursor, top }) = feed.gap {
            let mut walk = Walk::new(community, kind, watermark.as_ref());
            (walk.after, walk.top) = (cursor.as_str().parse().ok(), Some(top));
            self.walk(&mut walk, &mut pages, report).await?;
            if !walk.over {
                return Ok(walk.reading());
            }
            watermark = walk.top;
        }
        let mut walk = Walk::new(community, kind, watermark.as_ref());
        self.walk(&mut walk, &mut pages, report).await?;
        Ok(walk.reading())
    }

    /// Reads pages until the floor, the end of the listing, or the page limit.
    async fn walk(
        &self,
        walk: &mut Walk<'_>,
        pages: &mut u32,
        report: &mut Report,
    ) -> Result<(), FetchError> {
        while !walk.over && *pages > 0 {
            *pages -= 1;
            let page = self.page(walk).await?;
            self.take_page(walk, page, report).await?;
        }
        Ok(())
    }

    async fn page(&self, walk: &Walk<'_>) -> Result<Page, FetchError> {
        let (reddit, after) = (&self.context.reddit, walk.after.as_ref());
        let subreddit = SubredditName::try_from(walk.community)?;
        let page = match walk.kind {
            ItemKind::Post => reddit.new_posts(&subreddit, after, self.deadline).await,
            ItemKind::Comment => reddit.new_comments(&subreddit, after, self.deadline).await,
        };
        Ok(page?)
    }

    /// Stores a page, saves the place, queues its items: in this order.
    async fn take_page(
        &self,
        walk: &mut Walk<'_>,
        page: Page,
        report: &mut Report,
    ) -> Result<(), FetchError> {
        self.note_bad_items(&page.bad, report);
        walk.take(&page);
        let stored = self.store(page.sightings, report).await?;
        walk.settle(!stored.to_score().is_empty());
        self.save_place(walk).await?;
        report.queued += self.queue(&stored.to_score(), report).await?;
        Ok(())
    }

    async fn save_place(&self, walk: &Walk<'_>) -> Result<(), FetchError> {
        let (community, kind, database) = (walk.community, walk.kind, &self.context.database);
        match (&walk.top, &walk.after) {
            // Nothing readable so far: there is no place to speak of.
            (None, _) => {}
            (Some(top), Some(cursor)) if !walk.over => {
                let gap = Gap { cursor: cursor.id(), top: top.clone() };
                database.ask(async |store| store.save_gap(community, kind, &gap).await).await?;
            }
            (Some(top), _) => {
                database.ask(async |store| store.advance_watermark(community, kind, top).await).await?;
            }
        }
        Ok(())
    }
}

impl<'a> Walk<'a> {
    fn new(community: &'a Community, kind: ItemKind, watermark: Option<&Mark>) -> Self {
        let floor = watermark.map(|mark| mark.created_at);
        Self {
            community,
            kind,
            after: None,
            top: None,
            floor,
            oldest: None,
            items: 0,
            over: false,
            outrun: false,
        }
    }

    /// Moves on by a page.
    fn take(&mut self, page: &Page) {
        let mark = |s: &Sighting| Mark { item: s.fullname.id(), created_at: s.created_at };
        self.top = self.top.take().or_else(|| page.sightings.first().map(mark));
        self.oldest = page.sightings.last().map(|sighting| sighting.created_at).or(self.oldest);
        self.after.clone_from(&page.next);
        self.items += page.sightings.len();
    }

    /// Decides whether that page was the last one.
    fn settle(&mut self, brought_news: bool) {
        let (at_floor, below_overlap) = match (self.oldest, self.floor) {
            (Some(oldest), Some(floor)) => (oldest <= floor, oldest < floor - OVERLAP),
            _ => (false, false),
        };
        let at_end = self.after.is_none();
        self.over = at_end || below_overlap || (at_floor && !brought_news);
        self.outrun = at_end && !at_floor && self.floor.is_some() && self.items >= NEAR_LISTING_DEPTH;
        if self.outrun {
            tracing::warn!(
                community = %self.community, kind = %self.kind,
                "the listing ended above the watermark: more was posted than Reddit shows; fetch more often"
            );
        }
    }

    fn reading(&self) -> Reading {
        Reading { unfinished: !self.over, outrun: self.outrun }
    }
}
