use std::fmt;
use std::str::FromStr;

use modloop_domain::{Community, SourceName};

/// A subreddit's name without `r/`, in lower case: Reddit treats names that differ in case as one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubredditName(Community);

/// Why a text is no [`SubredditName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the name of a subreddit: expected 2 to 21 characters of A-Z, a-z, 0-9 and '_', without r/"
)]
pub struct SubredditNameError(String);

impl SubredditName {
    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        self.0.name().as_str()
    }

    /// The community that it names.
    pub fn community(&self) -> &Community {
        &self.0
    }
}

impl FromStr for SubredditName {
    type Err = SubredditNameError;

    /// Case does not matter; `r/` in front is not part of the name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || SubredditNameError(text.chars().take(40).collect());
        let name = text.parse().map_err(|_| refused())?;
        Community::new(SourceName::reddit(), name).map(Self).map_err(|_| refused())
    }
}

impl TryFrom<&Community> for SubredditName {
    type Error = SubredditNameError;

    fn try_from(community: &Community) -> Result<Self, Self::Error> {
        match *community.source() == SourceName::reddit() {
            true => Ok(Self(community.clone())),
            false => Err(SubredditNameError(community.to_string())),
        }
    }
}

impl fmt::Display for SubredditName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
