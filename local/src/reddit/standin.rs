use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use modloop_reddit::{Fullname, SubredditName};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

use super::community::{Intent, Language};
use super::faults::Faults;
use super::feed::{Feed, FeedItem};
use super::server::{Site, router};
use super::stats::{Counters, Stats};
use super::world::{Extent, Fate, PostsByTheClock, World};
use crate::ports::stable_port;

/// How the stand-in behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides what the communities write.
    pub seed: u64,
    /// When their items arrive.
    pub arrival: Arrival,
    /// A tenth of the answers go wrong.
    pub faults: Option<Faults>,
    /// No page is longer. Reddit's limit is 100; shorter pages make more requests of the same feed.
    pub page_size: usize,
    /// Requests that a client may send in ten minutes, by the rate-limit headers.
    pub allowance: u64,
    /// File that notes the port, so that a later start listens at the same address. Any free port without it.
    pub port_note: Option<PathBuf>,
    /// File that notes when the language of a living feed shifts, so that it has shifted for a later start too.
    /// Without it, it shifts [`Options::SHIFT_AFTER`] after every start.
    pub shift_note: Option<PathBuf>,
}

/// When items arrive.
#[derive(Debug, Clone, Copy)]
pub enum Arrival {
    /// All at the start, posted within the minute before; more when [`Handle::post_more`] says so. Their keys are new with every start, so that a
    /// database that saw an earlier start has them all before it again.
    AllAtOnce {
        /// How many.
        items: u64,
    },
    /// One after the other for ever, with a history of [`Options::HISTORY`] items. The clock alone decides
    /// which item arrives when, so another start goes on with the same items. After [`Options::SHIFT_AFTER`]
    /// r/city_talk speaks in [`Language::Shifted`].
    Live {
        /// Time between two items.
        every: Duration,
    },
}

impl Options {
    /// Posts and comments of a usual feed.
    pub const HISTORY: u64 = 660;

    /// How long a living feed talks as usual. Long enough for the monitor to learn what usual is.
    pub const SHIFT_AFTER: Duration = Duration::from_secs(600);

    /// The whole feed at once, without faults.
    pub fn all_at_once(seed: u64) -> Self {
        Self {
            seed,
            arrival: Arrival::AllAtOnce { items: Self::HISTORY },
            faults: None,
            page_size: 100,
            allowance: 1000,
            port_note: None,
            shift_note: None,
        }
    }

    /// Items that keep arriving.
    pub fn live(seed: u64, every: Duration) -> Self {
        Self { arrival: Arrival::Live { every }, ..Self::all_at_once(seed) }
    }

    /// A tenth of the answers go wrong, and pages are so short that reading the usual feed takes more than
    /// fifty requests: every kind of fault occurs.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults: Some(faults), page_size: 12, ..self }
    }

    fn world(&self, now: DateTime<Utc>) -> anyhow::Result<World> {
        Ok(match self.arrival {
            Arrival::AllAtOnce { items } => {
                // Posted within a minute: a watermark of an earlier start is older than that.
                let pace = TimeDelta::milliseconds((55_000 / items.max(1)).max(1).cast_signed());
                let start = now - TimeDelta::seconds(60);
                let base = now.timestamp_millis().unsigned_abs() * 1000;
                World::new(Feed::synthetic(self.seed, base, start, pace), Extent::Fixed(items))
            }
            Arrival::Live { every } => {
                let pace = TimeDelta::milliseconds(every.as_millis().max(1).try_into().unwrap_or(i64::MAX));
                let feed = Feed::synthetic(self.seed, 0, DateTime::<Utc>::UNIX_EPOCH, pace);
                let shift = noted_moment(self.shift_note.as_deref(), now + Self::SHIFT_AFTER)?;
                let feed = feed.shifting_at(shift);
                let from = feed.posted_by(now).saturating_sub(Self::HISTORY);
                World::new(feed, Extent::Growing { from })
            }
        })
    }
}

/// The moment in that file; where there is none, `otherwise`, noted there.
fn noted_moment(file: Option<&Path>, otherwise: DateTime<Utc>) -> anyhow::Result<DateTime<Utc>> {
    let Some(file) = file else { return Ok(otherwise) };
    let noted = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    if let Some(moment) = noted {
        return Ok(moment);
    }
    std::fs::write(file, otherwise.to_rfc3339()).with_context(|| format!("write {}", file.display()))?;
    Ok(otherwise)
}

/// What a client must have found once it has read everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected {
    /// Readable posts.
    pub posts: usize,
    /// Readable comments.
    pub comments: usize,
    /// Items that are no items, to be reported and left out.
    pub malformed: usize,
    /// Of the readable ones, those that insult somebody for all to see.
    pub insults: usize,
    /// Of the readable ones, those that insult a group in code.
    pub coded_insults: usize,
}

/// Starts the server.
pub struct StandIn;

impl StandIn {
    /// Listens on 127.0.0.1.
    pub async fn start(options: Options) -> anyhow::Result<Handle> {
        let port = options.port_note.as_deref().map_or(Ok(0), stable_port)?;
        let listener =
            TcpListener::bind(("127.0.0.1", port)).await.context("no free port for the Reddit stand-in")?;
        let url: Url = format!("http://{}", listener.local_addr()?).parse()?;
        let site = Arc::new(Site {
            world: options.world(Utc::now())?,
            counters: Counters::new(options.allowance),
            faults: options.faults,
            page_size: options.page_size.max(1),
            token: AtomicU64::new(1),
        });
        let app = router(Arc::clone(&site));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the Reddit stand-in stopped");
            }
        });
        Ok(Handle { url, site, server })
    }
}

/// A running stand-in, until dropped. Both Reddit addresses (API and tokens) are [`Handle::url`].
pub struct Handle {
    url: Url,
    site: Arc<Site>,
    server: JoinHandle<()>,
}

impl Handle {
    /// Where it listens.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The subreddits to watch. Others exist to be refused: r/private_club, r/quarantined_place,
    /// r/banned_corner, and any name at all, which is not found.
    pub fn subreddits(&self) -> Vec<SubredditName> {
        Feed::subreddits()
    }

    /// What can be read now: neither malformed nor gone, newest first.
    pub fn expected_items(&self) -> Vec<FeedItem> {
        self.in_place().filter(FeedItem::is_readable).collect()
    }

    /// Posts the next `count` items at once, a third of them in each community: from now on they are there,
    /// also for [`Handle::expected_items`]. Only r/city_talk knows another language than the usual one. Returns
    /// those that can be read, newest first.
    pub fn post_more(&self, count: u64, language: Language) -> Result<Vec<FeedItem>, PostsByTheClock> {
        let now = Utc::now();
        let numbers = self.site.world.post_more(count, language, now)?;
        let items = self.site.world.some(numbers, now).map(|shown| shown.item);
        Ok(items.filter(FeedItem::is_readable).collect())
    }

    /// [`Handle::expected_items`] in numbers.
    pub fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        for item in self.in_place() {
            match (item.is_readable(), item.title.is_some()) {
                (false, _) => expected.malformed += 1,
                (true, true) => expected.posts += 1,
                (true, false) => expected.comments += 1,
            }
            let is = |intent| usize::from(item.is_readable() && item.intent == intent);
            expected.insults += is(Intent::Insult);
            expected.coded_insults += is(Intent::CodedInsult);
        }
        expected
    }

    /// Its author writes another body.
    pub fn edit(&self, item: &Fullname, body: impl Into<String>) {
        self.site.world.change(item, Fate::Edited { body: body.into(), at: Utc::now() });
    }

    /// Its author deletes it.
    pub fn delete(&self, item: &Fullname) {
        self.site.world.change(item, Fate::Deleted);
    }

    /// A moderator removes it.
    pub fn remove(&self, item: &Fullname) {
        self.site.world.change(item, Fate::Removed);
    }

    /// Reddit forgets it.
    pub fn forget(&self, item: &Fullname) {
        self.site.world.change(item, Fate::Absent);
    }

    /// Refuses the token in use; the client must get another.
    pub fn expire_token(&self) {
        self.site.token.fetch_add(1, Ordering::Relaxed);
    }

    /// What was asked so far.
    pub fn stats(&self) -> Stats {
        self.site.counters.stats()
    }

    fn in_place(&self) -> impl Iterator<Item = FeedItem> {
        self.site.world.all(Utc::now()).filter(|shown| shown.is_listed()).map(|shown| shown.item)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.server.abort();
    }
}
