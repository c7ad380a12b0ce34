//! What there is to see at a moment: the feed, and what happened to its items since.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use modloop_domain::ItemKind;
use modloop_reddit::Fullname;

use super::community::Language;
use super::feed::{Feed, FeedItem, Stretch};

/// What happened to an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing.
    Untouched,
    /// Its author wrote another body.
    Edited { body: String, at: DateTime<Utc> },
    /// Its author deleted it.
    Deleted,
    /// A moderator took it down.
    Removed,
    /// Reddit has forgotten it.
    Absent,
}

/// An item and what happened to it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) item: FeedItem,
    pub(crate) fate: Fate,
}

impl Shown {
    /// Whether listings have it.
    pub(crate) fn is_listed(&self) -> bool {
        matches!(self.fate, Fate::Untouched | Fate::Edited { .. })
    }
}

/// Items that ever arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extent {
    /// The first so many of the feed, all there from the start; more only when they are posted.
    Fixed(u64),
    /// From that number on, for ever; items also change by themselves some time after they arrived.
    Growing { from: u64 },
}

pub(crate) struct World {
    posted: RwLock<Posted>,
    /// What the harness did, over what happens by itself.
    done: Mutex<HashMap<Fullname, Fate>>,
}

#[derive(Clone)]
struct Posted {
    feed: Feed,
    extent: Extent,
}

/// A feed by the clock takes no orders.
#[derive(Debug, thiserror::Error)]
#[error("this feed posts by the clock: start it with all items at once to post more of them")]
pub struct PostsByTheClock;

impl World {
    pub(crate) fn new(feed: Feed, extent: Extent) -> Self {
        Self { posted: RwLock::new(Posted { feed, extent }), done: Mutex::default() }
    }

    /// Lets the next `count` items arrive, spread over the time since the last one; returns their numbers.
    pub(crate) fn post_more(
        &self,
        count: u64,
        language: Language,
        now: DateTime<Utc>,
    ) -> Result<Range<u64>, PostsByTheClock> {
        let mut posted = self.posted.write().unwrap_or_else(PoisonError::into_inner);
        let Extent::Fixed(from) = posted.extent else { return Err(PostsByTheClock) };
        let last = posted.feed.item(from.saturating_sub(1)).created_at;
        let pace = (now - last).max(TimeDelta::zero()) / i32::try_from(count.max(1)).unwrap_or(i32::MAX);
        posted.feed.go_on(Stretch { from, start: last + pace, pace, language });
        posted.extent = Extent::Fixed(from + count);
        Ok(from..from + count)
    }

    /// Everything there is, newest first.
    pub(crate) fn all(&self, now: DateTime<Utc>) -> impl Iterator<Item = Shown> {
        let Posted { feed, extent } = self.posted();
        let numbers = match extent {
            Extent::Fixed(count) => 0..count,
            Extent::Growing { from } => from..feed.posted_by(now),
        };
        numbers.rev().map(move |number| self.shown(feed.item(number), extent, number, now))
    }

    /// Those of these items, newest first.
    pub(crate) fn some(&self, numbers: Range<u64>, now: DateTime<Utc>) -> impl Iterator<Item = Shown> {
        let Posted { feed, extent } = self.posted();
        numbers.rev().map(move |number| self.shown(feed.item(number), extent, number, now))
    }

    /// The newest items of one listing that are in place.
    pub(crate) fn listing(&self, subreddit: &str, kind: ItemKind, now: DateTime<Utc>) -> Vec<Shown> {
        self.all(now)
            .filter(|shown| shown.item.subreddit() == subreddit && shown.item.fullname.kind() == kind)
            .filter(Shown::is_listed)
            .collect()
    }

    /// The item of that name, unless Reddit has forgotten it.
    pub(crate) fn find(&self, fullname: &Fullname, now: DateTime<Utc>) -> Option<Shown> {
        let Posted { feed, extent } = self.posted();
        let number = feed.number_of(fullname)?;
        let there = match extent {
            Extent::Fixed(count) => number < count,
            Extent::Growing { .. } => number < feed.posted_by(now),
        };
        let shown = there.then(|| self.shown(feed.item(number), extent, number, now))?;
        (shown.item.fullname == *fullname && shown.fate != Fate::Absent).then_some(shown)
    }

    pub(crate) fn change(&self, fullname: &Fullname, fate: Fate) {
        self.done().insert(fullname.clone(), fate);
    }

    fn shown(&self, item: FeedItem, extent: Extent, number: u64, now: DateTime<Utc>) -> Shown {
        let done = self.done().get(&item.fullname).cloned();
        let fate = match (done, extent) {
            (Some(fate), _) => fate,
            (None, Extent::Growing { .. }) => by_itself(&item, number, now),
            (None, Extent::Fixed(_)) => Fate::Untouched,
        };
        Shown { item, fate }
    }

    fn posted(&self) -> Posted {
        self.posted.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn done(&self) -> MutexGuard<'_, HashMap<Fullname, Fate>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In a living community some items are edited, deleted or removed minutes after they were posted.
fn by_itself(item: &FeedItem, number: u64, now: DateTime<Utc>) -> Fate {
    let (age, after) = (now - item.created_at, TimeDelta::seconds);
    match number {
        n if n % 40 == 13 && age > after(90) => Fate::Edited {
            body: format!("{}\n\nEdit: thanks, that answers it.", item.body),
            at: item.created_at + after(90),
        },
        n if n % 60 == 17 && age > after(120) => Fate::Deleted,
        n if n % 90 == 25 && age > after(150) => Fate::Removed,
        _ => Fate::Untouched,
    }
}
