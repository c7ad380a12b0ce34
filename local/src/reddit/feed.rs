//! The synthetic feed: an endless row of posts and comments, the same for the same seed.

use chrono::{DateTime, TimeDelta, Utc};
use modloop_domain::ItemKind;
use modloop_reddit::{Fullname, SubredditName};

use super::community::{Community, Intent, Language, author, communities};
use super::oddities::Oddity;

/// In each community a post is followed by its comments: so many items in all.
const THREAD: u64 = 4;

/// A post or comment as it was first written.
#[derive(Debug, Clone)]
pub struct FeedItem {
    /// Its key.
    pub fullname: Fullname,
    /// When it was posted, and seen from then on.
    pub created_at: DateTime<Utc>,
    /// User name; `None` for a deleted account.
    pub author: Option<String>,
    /// Posts only.
    pub title: Option<String>,
    /// May be empty for a post.
    pub body: String,
    /// What it is.
    pub intent: Intent,
    pub(crate) community: &'static Community,
    /// The post that a comment belongs to; a post's own key.
    pub(crate) thread: Fullname,
    pub(crate) oddity: Option<Oddity>,
}

impl FeedItem {
    /// Where it was posted.
    pub fn subreddit(&self) -> &'static str {
        self.community.name
    }

    /// Whether a client can read it at all.
    pub fn is_readable(&self) -> bool {
        self.oddity != Some(Oddity::Malformed)
    }
}

/// The row: number to item. Numbers are given out in the order of posting.
#[derive(Debug, Clone)]
pub struct Feed {
    seed: u64,
    /// Added to an item's number to make its key.
    base: u64,
    first: Stretch,
    /// Later ones, each from its first item on.
    later: Vec<Stretch>,
}

/// Items that follow each other at one pace, in one language.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    /// Number of its first item.
    pub(crate) from: u64,
    /// When that is posted.
    pub(crate) start: DateTime<Utc>,
    /// Time between two items.
    pub(crate) pace: TimeDelta,
    pub(crate) language: Language,
}

impl Stretch {
    fn posted_at(&self, number: u64) -> DateTime<Utc> {
        let after = i64::try_from(number.saturating_sub(self.from)).unwrap_or(i64::MAX);
        self.start + TimeDelta::milliseconds(self.pace.num_milliseconds().saturating_mul(after))
    }
}

impl Feed {
    /// What the three communities write, one item every `pace` from `start` on. Keys count from `base`, so
    /// feeds that must not share keys take bases far apart.
    pub fn synthetic(seed: u64, base: u64, start: DateTime<Utc>, pace: TimeDelta) -> Self {
        let first = Stretch { from: 0, start, pace, language: Language::Usual };
        Self { seed, base, first, later: Vec::new() }
    }

    /// Goes on differently from an item on, which must be later than what was changed before.
    pub(crate) fn go_on(&mut self, stretch: Stretch) {
        self.later.push(stretch);
    }

    /// The same from the first item posted at that moment or after it in the shifted language.
    #[must_use]
    pub fn shifting_at(mut self, moment: DateTime<Utc>) -> Self {
        let from = self.posted_by(moment - TimeDelta::milliseconds(1));
        let last = self.stretch(from);
        self.go_on(Stretch { from, start: last.posted_at(from), language: Language::Shifted, ..last });
        self
    }

    /// How many items have been posted by that moment.
    pub fn posted_by(&self, moment: DateTime<Utc>) -> u64 {
        let stretch = self.later.iter().rfind(|later| later.start <= moment).unwrap_or(&self.first);
        let (elapsed, pace) =
            ((moment - stretch.start).num_milliseconds(), stretch.pace.num_milliseconds().max(1));
        u64::try_from(elapsed / pace).map_or(0, |whole| stretch.from + whole + u64::from(elapsed >= 0))
    }

    /// The one that an item belongs to.
    fn stretch(&self, number: u64) -> Stretch {
        *self.later.iter().rfind(|later| later.from <= number).unwrap_or(&self.first)
    }

    /// The subreddits.
    pub fn subreddits() -> Vec<SubredditName> {
        communities().iter().filter_map(|community| community.name.parse().ok()).collect()
    }

    /// The item of that number.
    pub fn item(&self, number: u64) -> FeedItem {
        let (round, which) = (number / 3, number % 3);
        let community = &communities()[which as usize];
        let thread = (round - round % THREAD) * 3 + which;
        let kind = if thread == number { ItemKind::Post } else { ItemKind::Comment };
        let topic = community.topic(thread, self.seed);
        let stretch = self.stretch(number);
        let mut words = match kind {
            ItemKind::Post => community.post(&topic, number, self.seed, stretch.language),
            ItemKind::Comment => community.comment(&topic, number, self.seed, stretch.language),
        };
        let oddity = Oddity::of(kind, self.rank(number, kind));
        if let Some(oddity) = oddity {
            oddity.change(&mut words);
        }
        FeedItem {
            fullname: self.key(kind, number),
            created_at: stretch.posted_at(number),
            author: (oddity != Some(Oddity::AuthorGone)).then(|| author(number, self.seed)),
            title: words.title,
            body: words.body,
            intent: words.intent,
            community,
            thread: self.key(ItemKind::Post, thread),
            oddity,
        }
    }

    /// The number of an item with that key; may be one that is not posted yet.
    pub(crate) fn number_of(&self, fullname: &Fullname) -> Option<u64> {
        let digits = fullname.as_str().split_once('_')?.1;
        u64::from_str_radix(digits, 36).ok()?.checked_sub(self.base)
    }

    /// How many items of its kind come before it.
    fn rank(&self, number: u64, kind: ItemKind) -> u64 {
        let posts = (number / 3 / THREAD) * 3 + number % 3;
        match kind {
            ItemKind::Post => posts,
            ItemKind::Comment => number - number / (3 * THREAD) * 3 - 3,
        }
    }

    fn key(&self, kind: ItemKind, number: u64) -> Fullname {
        let prefix = match kind {
            ItemKind::Post => "t3_",
            ItemKind::Comment => "t1_",
        };
        let name = format!("{prefix}{}", base36(self.base + number));
        name.parse().unwrap_or_else(|e| unreachable!("{e}"))
    }
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((number % 36) as u32, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    fn feed(seed: u64) -> Feed {
        Feed::synthetic(seed, 1000, DateTime::UNIX_EPOCH, TimeDelta::seconds(2))
    }

    fn items(seed: u64) -> Vec<FeedItem> {
        (0..660).map(|number| feed(seed).item(number)).collect()
    }

    #[test]
    fn the_same_seed_writes_the_same_feed() {
        let texts = |seed| items(seed).into_iter().map(|i| (i.fullname, i.title, i.body)).collect::<Vec<_>>();
        assert_eq!(texts(1), texts(1));
        assert_ne!(texts(1), texts(2));
    }

    #[test]
    fn the_first_part_never_changes() {
        let mut hash = Sha256::new();
        for seed in [1, 7] {
            for item in items(seed) {
                hash.update(format!(
                    "{:?}",
                    (item.fullname, item.created_at, item.author, item.title, item.body)
                ));
            }
        }
        assert_eq!(
            hex::encode(hash.finalize()),
            "22eb100e3021386943d847d4ad6b6374fc522c895baca044ad7fd953225b3580"
        );
    }

    #[test]
    fn one_community_shifts_and_only_when_it_is_time() {
        for seed in [1, 7, 99] {
            let usual = feed(seed);
            let shifting = usual.clone().shifting_at(usual.item(600).created_at);
            let (mut here, mut counts) = (0, BTreeMap::<_, usize>::new());
            for number in 0..3000 {
                let (before, after) = (usual.item(number), shifting.item(number));
                assert_eq!((&before.fullname, before.created_at), (&after.fullname, after.created_at));
                if number < 600 || before.subreddit() != "city_talk" {
                    assert_eq!((before.title, before.body), (after.title, after.body));
                    assert!(!matches!(after.intent, Intent::CodedInsult | Intent::Innocent));
                } else {
                    here += 1;
                    *counts.entry(after.intent).or_default() += 1;
                }
            }
            let share = |intent| counts[&intent] as f64 / f64::from(here);
            assert!((0.38..0.46).contains(&share(Intent::CodedInsult)), "{counts:?}");
            assert!((0.07..0.13).contains(&share(Intent::Innocent)), "{counts:?}");
            assert!(counts.contains_key(&Intent::Insult), "{counts:?}");
        }
    }

    #[test]
    fn coded_insults_vary() {
        let shifting = feed(1).shifting_at(DateTime::UNIX_EPOCH);
        let texts = |numbers: std::ops::Range<u64>| -> Vec<_> {
            let coded = numbers.map(|number| shifting.item(number));
            coded.filter(|i| i.intent == Intent::CodedInsult).map(|i| (i.title, i.body)).collect()
        };
        let (first, then) = (texts(0..600), texts(600..1800));
        let known: HashSet<_> = first.iter().collect();
        let repeated = then.iter().filter(|text| known.contains(text)).count();
        assert!(repeated * 20 < then.len(), "{repeated} of {} were there before", then.len());
    }

    #[test]
    fn three_communities_talk_in_threads() {
        let mut counts = BTreeMap::<_, usize>::new();
        let mut posts = HashSet::new();
        for item in items(1) {
            *counts.entry((item.subreddit(), item.fullname.kind())).or_default() += 1;
            match item.fullname.kind() {
                ItemKind::Post => assert!(posts.insert(item.fullname)),
                ItemKind::Comment => assert!(posts.contains(&item.thread), "a comment before its post"),
            }
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|&count| count == 55 || count == 165), "{counts:?}");
    }

    #[test]
    fn texts_vary_and_some_insult() {
        let items = items(1);
        let texts: HashSet<_> = items.iter().map(|item| (&item.title, &item.body)).collect();
        assert!(texts.len() > 600, "{} different texts", texts.len());
        assert!(items.iter().all(|item| !item.body.contains(['{', '}', '¶'])));
        let offensive = items.iter().filter(|item| item.intent == Intent::Insult).count();
        assert!((660 * 4 / 100..=660 * 9 / 100).contains(&offensive), "{offensive} offensive items");
    }

    #[test]
    fn every_oddity_occurs() {
        let oddities: HashSet<_> =
            items(1).iter().filter_map(|item| item.oddity).map(|o| format!("{o:?}")).collect();
        assert_eq!(oddities.len(), 8, "{oddities:?}");
        assert_eq!(items(1).iter().map(|item| item.body.chars().count()).max(), Some(40_000));
    }

    proptest! {
        #[test]
        fn an_item_is_found_by_its_key(number in 0..10_000_000_u64) {
            let item = feed(1).item(number);
            prop_assert_eq!(feed(1).number_of(&item.fullname), Some(number));
            prop_assert_eq!(feed(1).posted_by(item.created_at), number + 1);
        }
    }
}
