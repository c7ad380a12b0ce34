use chrono::{DateTime, Utc};

use crate::{Community, ContentHash, HashKey, ItemId, ItemKind, text};

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
    pub fn content_hash(&self, key: &HashKey) -> ContentHash {
        key.content(&self.scored())
    }
}

/// A post or comment as its source shows it at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Names it for good.
    pub id: ItemId,
    /// Post or comment.
    pub kind: ItemKind,
    /// Where it was posted.
    pub community: Community,
    /// What is scored.
    pub text: ItemText,
    /// What else people, rules and labelers judge it by.
    pub context: ItemContext,
    /// When it was posted.
    pub created_at: DateTime<Utc>,
    /// When it was last edited, where the source says so.
    pub edited_at: Option<DateTime<Utc>>,
    /// The source's time of this snapshot; `None`: now, by the database's clock.
    pub observed_at: Option<DateTime<Utc>>,
}

/// What people, rules and labelers need beside the text. All of it goes when the item is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemContext {
    /// User name; `None` when the account is deleted.
    pub author: Option<String>,
    /// The author of a comment is the author of the post.
    pub is_submitter: bool,
    /// The item that this one answers.
    pub parent: Option<ItemId>,
    /// The post that it belongs to.
    pub thread: Option<ItemId>,
    /// Address of the item at its source, for people who want to look. For Reddit a path below
    /// `https://www.reddit.com`.
    pub permalink: String,
    /// Where a link post points to.
    pub link: Option<String>,
    /// The host of that address.
    pub domain: Option<String>,
    /// The flair of a post.
    pub flair: Option<String>,
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
        let key = HashKey::from_bytes(&[7; 32]).expect("32 bytes");
        let before = ItemText::new(Some("T"), "b").content_hash(&key);
        assert_eq!(before, ItemText::new(Some("T"), "b").content_hash(&key));
        assert_ne!(before, ItemText::new(Some("T"), "b!").content_hash(&key));
        assert_eq!(ContentHash::from_bytes(before.as_bytes()), Some(before));
    }
}
