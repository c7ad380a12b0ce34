use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use modloop_domain::{ItemId, ItemKind};

/// Reddit's key for a post (`t3_…`) or a comment (`t1_…`): prefix and a base-36 number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fullname(String);

/// Why a text is no [`Fullname`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no Reddit fullname: expected t3_ or t1_ and up to 13 characters of 0-9a-z")]
pub struct FullnameError(String);

/// 36^13 passes the largest 64-bit number, so Reddit never needs more digits.
const MAX_DIGITS: usize = 13;

impl Fullname {
    /// Post or comment.
    pub fn kind(&self) -> ItemKind {
        if self.0.starts_with("t3_") { ItemKind::Post } else { ItemKind::Comment }
    }

    /// The item that it names.
    pub fn id(&self) -> ItemId {
        // Every fullname has the form of an item id.
        self.0.parse().unwrap_or_else(|e| unreachable!("{e}"))
    }

    /// The whole name, as Reddit writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Fullname {
    type Err = FullnameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("t3_").or_else(|| text.strip_prefix("t1_"));
        match digits {
            Some(d)
                if (1..=MAX_DIGITS).contains(&d.len())
                    && d.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(FullnameError(text.chars().take(40).collect())),
        }
    }
}

impl TryFrom<String> for Fullname {
    type Error = FullnameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Fullname> for String {
    fn from(name: Fullname) -> Self {
        name.0
    }
}

impl fmt::Display for Fullname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posts_and_comments_are_told_apart() {
        assert_eq!("t3_1abc".parse::<Fullname>().map(|f| f.kind()), Ok(ItemKind::Post));
        assert_eq!("t1_1abc".parse::<Fullname>().map(|f| f.kind()), Ok(ItemKind::Comment));
    }

    #[test]
    fn other_things_are_refused_and_named() {
        for bad in ["", "t3_", "t2_abc", "t3_ABC", "t3_ab c", "t3_00000000000000", "t3_é"] {
            let error = bad.parse::<Fullname>().expect_err(bad);
            assert!(error.to_string().contains("fullname"), "{error}");
        }
    }
}
