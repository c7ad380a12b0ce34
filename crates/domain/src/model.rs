use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is no [`Label`] or [`ModelVersion`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no {what}: expected 1 to {max} characters of a-z, 0-9, '-', '_' and '.'")]
pub struct NameError {
    what: &'static str,
    max: usize,
    found: String,
}

fn check(what: &'static str, max: usize, text: &str) -> Result<String, NameError> {
    let fits = (1..=max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(NameError { what, max, found: text.chars().take(40).collect() })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as written in bundles and in the database.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                check($what, $max, text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// What a score is about, such as `hate`. Labels come from the model bundle, never from code.
    Label, "label", 40
);
name!(
    /// Names one trained model for good; predictions are unique by item, content and this.
    ModelVersion, "model version", 60
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_paths_and_metrics() {
        assert!("hate".parse::<Label>().is_ok());
        assert!("2026-11-22.1".parse::<ModelVersion>().is_ok());
        for bad in ["", "Hate", "a/b", "a b", "é"] {
            assert!(bad.parse::<Label>().is_err(), "{bad}");
        }
    }
}
