use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names an item for good: `t1_…` or `t3_…` for Reddit, `SOURCE:…` for other sources.
///
/// 1 to 128 characters of `A-Z`, `a-z`, `0-9`, `_`, `.`, `:` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ItemId(String);

/// Why a text is not an [`ItemId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an item id: expected 1 to 128 characters of A-Z, a-z, 0-9, '_', '.', ':' and '-'")]
pub struct ItemIdError(String);

const MAX_LENGTH: usize = 128;

impl ItemId {
    /// The id as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ItemId {
    type Err = ItemIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=MAX_LENGTH).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b));
        if fits { Ok(Self(text.to_owned())) } else { Err(ItemIdError(text.chars().take(40).collect())) }
    }
}

impl TryFrom<String> for ItemId {
    type Error = ItemIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ItemId> for String {
    fn from(id: ItemId) -> Self {
        id.0
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_all_sources_are_accepted() {
        for id in ["t1_abc", "t3_1", "forum:2026-12-01.7", &"x".repeat(128)] {
            assert_eq!(id.parse::<ItemId>().map(|id| id.to_string()), Ok(id.to_owned()));
        }
    }

    #[test]
    fn other_texts_are_refused_and_named() {
        for bad in ["", "a b", "a/b", "é", "a\n", &"x".repeat(129)] {
            let error = bad.parse::<ItemId>().expect_err(bad).to_string();
            assert!(error.contains("is not an item id"), "{error}");
        }
    }
}
