//! What real users do to text, put into the feed on purpose.

use modloop_domain::ItemKind;

use super::community::{Intent, Words};

/// Stands for half a surrogate pair, which no Rust string can hold, until the answer is written as JSON.
pub(crate) const LONE_SURROGATE: char = '\u{f8fe}';

/// Reddit's longest post.
const MAX_POST: usize = 40_000;

/// One way to be awkward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// A post without any text but its title.
    Image,
    /// A post as long as Reddit allows.
    Longest,
    /// NUL bytes, which Postgres cannot store.
    Nul,
    /// Half a surrogate pair, which is no Unicode.
    LoneSurrogate,
    /// Marks that turn the direction of writing.
    RightToLeft,
    /// Nothing but emoji.
    Emoji,
    /// The author's account is deleted, the text is not.
    AuthorGone,
    /// An object that is no item: Reddit's own mistake.
    Malformed,
}

impl Oddity {
    /// The oddity of the `number`th post or comment, of which most have none.
    pub(crate) fn of(kind: ItemKind, number: u64) -> Option<Self> {
        let place = match kind {
            ItemKind::Post => number % 80,
            ItemKind::Comment => number % 240,
        };
        match (kind, place) {
            (ItemKind::Post, 5) => Some(Self::Image),
            (ItemKind::Post, 15) => Some(Self::Longest),
            (ItemKind::Post, 25) | (ItemKind::Comment, 70) => Some(Self::RightToLeft),
            (ItemKind::Post, 35) | (ItemKind::Comment, 50) => Some(Self::Emoji),
            (ItemKind::Post, 45) | (ItemKind::Comment, 60) => Some(Self::AuthorGone),
            (ItemKind::Comment, 10) => Some(Self::Nul),
            (ItemKind::Comment, 30) => Some(Self::LoneSurrogate),
            (ItemKind::Comment, 40) => Some(Self::Malformed),
            _ => None,
        }
    }

    /// What becomes of the text.
    pub(crate) fn change(self, words: &mut Words) {
        let Words { title, body, intent } = words;
        match self {
            Self::Image => body.clear(),
            Self::Longest => {
                let sentence = format!("{} ", title.as_deref().unwrap_or("A long story."));
                *body = sentence.repeat(MAX_POST / sentence.len() + 1).chars().take(MAX_POST).collect();
            }
            Self::Nul => *body = format!("\0{body}\0"),
            Self::LoneSurrogate => body.push(LONE_SURROGATE),
            Self::RightToLeft => {
                *body = format!("\u{202e}{body}\u{202c} \u{200f}שלום\u{200e} \u{2067}abc\u{2069}")
            }
            Self::Emoji => {
                *title = title.as_ref().map(|_| "🎉🎉🎉".to_owned());
                *intent = Intent::Ordinary;
                *body = "👩‍👩‍👧‍👦 🔥🔥🔥 🏳️‍🌈 👍🏽".to_owned();
            }
            Self::AuthorGone | Self::Malformed => {}
        }
    }
}
