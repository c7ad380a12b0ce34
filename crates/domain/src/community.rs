use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where communities and items come from, such as `reddit`.
///
/// 1 to 32 characters of `a-z`, `0-9` and `-`, the first one a letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceName(String);

/// A community's name within its source, lower-case, without `r/`.
///
/// 1 to 64 characters of `a-z`, `0-9`, `_`, `.` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommunityName(String);

/// A community of a source. People write Reddit's as `r/rust` or `rust`, others as `SOURCE:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Community {
    source: SourceName,
    name: CommunityName,
}

/// Why a text does not name a source or a community.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommunityError {
    /// Not a source's name.
    #[error(
        "{0:?} is not the name of a source: expected a letter and up to 31 characters of a-z, 0-9 and '-'"
    )]
    Source(String),
    /// Not a community's name.
    #[error(
        "{0:?} is not the name of a community: expected 1 to 64 characters of a-z, 0-9, '_', '.' and '-'"
    )]
    Name(String),
    /// Not a name that Reddit gives.
    #[error(
        "{0:?} is not the name of a subreddit: expected 2 to 21 characters of a-z, 0-9 and '_', or u_NAME for a profile"
    )]
    Subreddit(String),
}

impl SourceName {
    /// Reddit's.
    pub fn reddit() -> Self {
        Self("reddit".to_owned())
    }

    /// The name as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl CommunityName {
    /// The name as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Community {
    /// Refuses a name that the source does not give.
    pub fn new(source: SourceName, name: CommunityName) -> Result<Self, CommunityError> {
        if source == SourceName::reddit() && !is_subreddit(name.as_str()) {
            return Err(CommunityError::Subreddit(name.0));
        }
        Ok(Self { source, name })
    }

    /// Where it is.
    pub fn source(&self) -> &SourceName {
        &self.source
    }

    /// Its name there.
    pub fn name(&self) -> &CommunityName {
        &self.name
    }
}

/// Subreddits have 2 to 21 characters; a profile is `u_` and a user's name of up to 20, which may hold `-`.
fn is_subreddit(name: &str) -> bool {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let profile = name
        .strip_prefix("u_")
        .is_some_and(|user| (1..=20).contains(&user.len()) && user.split('-').all(plain));
    profile || ((2..=21).contains(&name.len()) && plain(name))
}

impl FromStr for SourceName {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.len() <= 32
            && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(CommunityError::Source(shortened(text))) }
    }
}

impl FromStr for CommunityName {
    type Err = CommunityError;

    /// Case does not matter.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if fits { Ok(Self(text.to_ascii_lowercase())) } else { Err(CommunityError::Name(shortened(text))) }
    }
}

impl FromStr for Community {
    type Err = CommunityError;

    /// Reads `rust`, `r/Rust`, `/r/rust/`, `u/somebody` and `SOURCE:NAME`; white space around it is ignored.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some((source, name)) = text.split_once(':') {
            return Self::new(source.parse()?, name.parse()?);
        }
        let path = text.strip_prefix('/').unwrap_or(text);
        let path = path.strip_suffix('/').unwrap_or(path);
        let lower = path.to_ascii_lowercase();
        let name = match (lower.strip_prefix("r/"), lower.strip_prefix("u/").or(lower.strip_prefix("user/")))
        {
            (Some(subreddit), _) => subreddit.to_owned(),
            (_, Some(user)) => format!("u_{user}"),
            _ => lower,
        };
        Self::new(SourceName::reddit(), name.parse()?)
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for CommunityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source == SourceName::reddit() {
            f.pad(&format!("r/{}", self.name))
        } else {
            f.pad(&format!("{}:{}", self.source, self.name))
        }
    }
}

macro_rules! through_text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = CommunityError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }
    )*};
}

through_text!(SourceName, CommunityName, Community);

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_may_write_a_subreddit_in_several_ways() {
        for text in ["rust", "r/rust", "/r/Rust", "R/RUST/", " rust "] {
            assert_eq!(text.parse::<Community>().map(|c| c.to_string()), Ok("r/rust".to_owned()), "{text}");
        }
        assert_eq!("u/Some-Body".parse::<Community>().map(|c| c.to_string()), Ok("r/u_some-body".to_owned()));
        assert_eq!(
            "forum:General.1".parse::<Community>().map(|c| c.to_string()),
            Ok("forum:general.1".into())
        );
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for bad in ["", "a", "r/", "rust rust", "r/a/b", "naïve", "forum:", ":x", "Forum:x", &"a".repeat(22)]
        {
            assert!(bad.parse::<Community>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_profile_may_have_22_characters() {
        assert!("u_abcdefghijklmnopqrst".parse::<Community>().is_ok());
        assert!("u_abcdefghijklmnopqrstu".parse::<Community>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read_back(text in "([a-z]{1,5}:)?[a-zA-Z0-9_.-]{1,24}") {
            if let Ok(community) = text.parse::<Community>() {
                prop_assert_eq!(community.to_string().parse(), Ok(community));
            }
        }
    }
}
