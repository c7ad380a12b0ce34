use std::fmt;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::{Fullname, SubredditName, text};

/// What is scored of an item: a post has a title and perhaps a body, a comment only a body.
///
/// Made through [`ItemText::new`], so it never holds NUL, which Postgres cannot store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemText {
    title: Option<String>,
    body: String,
}

impl ItemText {
    /// Cleans both parts (see [`text::storable`]); a title of nothing but white space counts as none.
    pub fn new(title: Option<&str>, body: &str) -> Self {
        let title = title.map(text::storable).filter(|t| !t.trim().is_empty());
        Self { title: title.map(Into::into), body: text::storable(body).into() }
    }

    /// The title of a post.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The self-text of a post (empty for links and images) or the text of a comment.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The text the classifier sees: title, blank line, body.
    pub fn scored(&self) -> String {
        match (&self.title, self.body.is_empty()) {
            (Some(title), true) => title.clone(),
            (Some(title), false) => format!("{title}\n\n{}", self.body),
            (None, _) => self.body.clone(),
        }
    }

    /// Hash of the scored text: an edit that changes it makes the item due for scoring again.
    pub fn content_hash(&self) -> ContentHash {
        ContentHash(Sha256::digest(self.scored().as_bytes()).into())
    }
}

/// SHA-256 of the scored text of an item.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// The 32 bytes, as stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes back what was stored; `None` unless it is 32 bytes long.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({})", hex::encode(&self.0[..6]))
    }
}

/// A post or comment as Reddit shows it at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Reddit's key.
    pub fullname: Fullname,
    /// Where it was posted.
    pub subreddit: SubredditName,
    /// User name; `None` when the account is deleted.
    pub author: Option<String>,
    /// What is scored.
    pub text: ItemText,
    /// Path below `https://www.reddit.com`, for people who want to look.
    pub permalink: String,
    /// When it was posted.
    pub created_at: DateTime<Utc>,
    /// When it was last edited, where Reddit says so.
    pub edited_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scored_text_is_title_blank_line_body() {
        assert_eq!(ItemText::new(Some("Title"), "Body").scored(), "Title\n\nBody");
        assert_eq!(ItemText::new(Some("Only an image"), "").scored(), "Only an image");
        assert_eq!(ItemText::new(None, "A comment").scored(), "A comment");
        assert_eq!(ItemText::new(Some("  "), "Body").scored(), "Body");
    }

    #[test]
    fn the_hash_follows_the_text_that_is_scored() {
        let before = ItemText::new(Some("T"), "b").content_hash();
        assert_eq!(before, ItemText::new(Some("T"), "b").content_hash());
        assert_ne!(before, ItemText::new(Some("T"), "b!").content_hash());
        assert_eq!(ContentHash::from_bytes(before.as_bytes()), Some(before));
        assert_eq!(ContentHash::from_bytes(b"short"), None);
    }
}
