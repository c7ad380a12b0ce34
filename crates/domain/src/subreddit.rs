use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A subreddit's name without `r/`, in lower case: Reddit treats names that differ in case as one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubredditName(String);

/// Why a text is no [`SubredditName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no subreddit name: expected 2 to 21 characters of A-Z, a-z, 0-9 and _, without r/")]
pub struct SubredditNameError(String);

impl SubredditName {
    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SubredditName {
    type Err = SubredditNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits =
            (2..=21).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if fits {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(SubredditNameError(text.chars().take(40).collect()))
        }
    }
}

impl TryFrom<String> for SubredditName {
    type Error = SubredditNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SubredditName> for String {
    fn from(name: SubredditName) -> Self {
        name.0
    }
}

impl fmt::Display for SubredditName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter() {
        assert_eq!("AskHistorians".parse::<SubredditName>(), "askhistorians".parse());
    }

    #[test]
    fn paths_and_markup_are_refused() {
        for bad in ["r/rust", "a", "", "rust;drop", "rust\n", "naïve", "aaaaaaaaaaaaaaaaaaaaaa"] {
            assert!(bad.parse::<SubredditName>().is_err(), "{bad}");
        }
    }
}
