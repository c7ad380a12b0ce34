//! The three made-up communities and how they talk.

use std::sync::LazyLock;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::grammar::Grammar;

/// Share of items that insult somebody openly.
const INSULT_SHARE: f64 = 0.065;

/// Where the language shifts, of all items: those that insult a group in code.
const CODED_SHARE: f64 = 0.42;

/// Where the language shifts, of all items: those that use the words of the code in their everyday sense.
const INNOCENT_SHARE: f64 = 0.1;

/// How the one community talks whose language can shift; the others always talk as usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// As from the beginning.
    Usual,
    /// Two of five items insult a group of people in code, one of ten uses the words of the code in their
    /// everyday sense, the rest is as usual.
    Shifted,
}

/// What an item is: the truth, which no client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Intent {
    /// Ordinary talk.
    Ordinary,
    /// Ordinary talk that happens to use words of the code.
    Innocent,
    /// Insults somebody for all to see.
    Insult,
    /// Insults a group of people in code.
    CodedInsult,
}

impl Intent {
    /// Written to insult, openly or in code.
    pub fn is_insult(self) -> bool {
        matches!(self, Self::Insult | Self::CodedInsult)
    }
}

/// A made-up subreddit.
#[derive(Debug)]
pub(crate) struct Community {
    pub(crate) name: &'static str,
    /// Its id as Reddit writes it.
    pub(crate) id: &'static str,
    phrases: Grammar,
    /// What it says besides once its language has shifted.
    shifted: Option<Shifted>,
}

#[derive(Debug)]
struct Shifted {
    coded: Grammar,
    innocent: Grammar,
}

static COMMUNITIES: LazyLock<[Community; 3]> = LazyLock::new(|| {
    let community = |name, id, file| Community { name, id, phrases: Grammar::parse(file), shifted: None };
    let shifted = Shifted {
        coded: CODED.clone(),
        innocent: Grammar::parse(include_str!("phrases/city_talk_innocent.txt")),
    };
    [
        Community {
            shifted: Some(shifted),
            ..community("city_talk", "t5_3c1ty", include_str!("phrases/city_talk.txt"))
        },
        community("home_cooking", "t5_3c00k", include_str!("phrases/home_cooking.txt")),
        community("retro_games", "t5_3r3tr", include_str!("phrases/retro_games.txt")),
    ]
});

pub(crate) static OFFENSIVE: LazyLock<Grammar> =
    LazyLock::new(|| Grammar::parse(include_str!("phrases/offensive.txt")));

pub(crate) static CODED: LazyLock<Grammar> =
    LazyLock::new(|| Grammar::parse(include_str!("phrases/city_talk_coded.txt")));

/// What somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) title: Option<String>,
    pub(crate) body: String,
    pub(crate) intent: Intent,
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
    pub(crate) fn post(&self, topic: &str, number: u64, seed: u64, language: Language) -> Words {
        let mut rng = random(seed, number, "post");
        let (phrases, intent) = self.voice(&mut rng, number, seed, language);
        let title = phrases.compose("title", topic, &mut rng);
        let body =
            if rng.random_bool(0.75) { phrases.compose("body", topic, &mut rng) } else { String::new() };
        Words { title: Some(title), body, intent }
    }

    /// A comment.
    pub(crate) fn comment(&self, topic: &str, number: u64, seed: u64, language: Language) -> Words {
        let mut rng = random(seed, number, "comment");
        let (phrases, intent) = self.voice(&mut rng, number, seed, language);
        Words { title: None, body: phrases.compose("comment", topic, &mut rng), intent }
    }

    /// In whose words an item is written.
    fn voice(&self, rng: &mut StdRng, number: u64, seed: u64, language: Language) -> (&Grammar, Intent) {
        // Always drawn, so that what does not shift is the same in both languages.
        let insults = rng.random_bool(INSULT_SHARE);
        let shifted = self.shifted.as_ref().filter(|_| language == Language::Shifted);
        let drawn: f64 = random(seed, number, "shift").random();
        match shifted {
            Some(Shifted { coded, .. }) if drawn < CODED_SHARE => (coded, Intent::CodedInsult),
            Some(Shifted { innocent, .. }) if drawn < CODED_SHARE + INNOCENT_SHARE => {
                (innocent, Intent::Innocent)
            }
            _ if insults => (&OFFENSIVE, Intent::Insult),
            _ => (&self.phrases, Intent::Ordinary),
        }
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
