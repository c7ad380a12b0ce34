//! The three made-up communities and how they talk.

use std::sync::LazyLock;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::grammar::Grammar;

/// Share of items that insult somebody.
const OFFENSIVE_SHARE: f64 = 0.065;

/// A made-up subreddit.
#[derive(Debug)]
pub(crate) struct Community {
    pub(crate) name: &'static str,
    /// Its id as Reddit writes it.
    pub(crate) id: &'static str,
    phrases: Grammar,
}

static COMMUNITIES: LazyLock<[Community; 3]> = LazyLock::new(|| {
    let community = |name, id, file| Community { name, id, phrases: Grammar::parse(file) };
    [
        community("city_talk", "t5_3c1ty", include_str!("phrases/city_talk.txt")),
        community("home_cooking", "t5_3c00k", include_str!("phrases/home_cooking.txt")),
        community("retro_games", "t5_3r3tr", include_str!("phrases/retro_games.txt")),
    ]
});

static OFFENSIVE: LazyLock<Grammar> = LazyLock::new(|| Grammar::parse(include_str!("phrases/offensive.txt")));

/// What somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) title: Option<String>,
    pub(crate) body: String,
    pub(crate) offensive: bool,
}

pub(crate) fn communities() -> &'static [Community; 3] {
    &COMMUNITIES
}

impl Community {
    /// What a thread is about.
    pub(crate) fn topic(&self, thread: u64, seed: u64) -> String {
        self.phrases.phrase("topic", "", &mut random(seed, thread, "topic"))
    }

    /// A post: always a title, and a text in three of four.
    pub(crate) fn post(&self, topic: &str, number: u64, seed: u64) -> Words {
        let mut rng = random(seed, number, "post");
        let offensive = rng.random_bool(OFFENSIVE_SHARE);
        let phrases = if offensive { &*OFFENSIVE } else { &self.phrases };
        let title = phrases.compose("title", topic, &mut rng);
        let body =
            if rng.random_bool(0.75) { phrases.compose("body", topic, &mut rng) } else { String::new() };
        Words { title: Some(title), body, offensive }
    }

    /// A comment.
    pub(crate) fn comment(&self, topic: &str, number: u64, seed: u64) -> Words {
        let mut rng = random(seed, number, "comment");
        let offensive = rng.random_bool(OFFENSIVE_SHARE);
        let phrases = if offensive { &*OFFENSIVE } else { &self.phrases };
        Words { title: None, body: phrases.compose("comment", topic, &mut rng), offensive }
    }
}

/// A made-up user name.
pub(crate) fn author(number: u64, seed: u64) -> String {
    const FIRST: [&str; 12] = [
        "quiet", "amber", "north", "paper", "salty", "velvet", "rusty", "lucky", "tiny", "copper", "misty",
        "plain",
    ];
    const SECOND: [&str; 12] = [
        "otter", "kettle", "harbour", "pixel", "radish", "lantern", "sparrow", "biscuit", "anchor", "moth",
        "ladle", "joystick",
    ];
    let mut rng = random(seed, number, "author");
    let (first, second) = (rng.random_range(0..FIRST.len()), rng.random_range(0..SECOND.len()));
    format!("{}_{}_{}", FIRST[first], SECOND[second], rng.random_range(10..100))
}

/// The same number gets the same words in every run.
fn random(seed: u64, number: u64, what: &str) -> StdRng {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&number.to_le_bytes());
    for (place, letter) in key[16..].iter_mut().zip(what.bytes()) {
        *place = letter;
    }
    StdRng::from_seed(key)
}
