//! Enums whose values are stored and shown as one word each.

/// Declares an enum with its words, `ALL`, `as_str`, `Display`, `FromStr`, and serde by word.
macro_rules! words {
    (
        $(#[$doc:meta])*
        $name:ident, $what:literal {
            $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word that is stored and shown.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).ok_or_else(|| {
                    $crate::UnknownWord::new(word, $what, &[$($word,)+])
                })
            }
        }
    };
}

pub(crate) use words;

/// A word that none of an enum's values has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not {what}: expected {}", expected.join(", "))]
pub struct UnknownWord {
    found: String,
    what: &'static str,
    expected: Vec<&'static str>,
}

impl UnknownWord {
    pub(crate) fn new(found: &str, what: &'static str, expected: &[&'static str]) -> Self {
        Self { found: found.chars().take(40).collect(), what, expected: expected.to_vec() }
    }
}
