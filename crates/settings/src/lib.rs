//! What operators change while the system runs: typed documents with defaults and ranges.

mod documents;
mod labeler;
mod range;
mod retraining;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use documents::{Monitor, Retention};
pub use labeler::{Labeler, OutputLimit};
pub use range::Problem;
pub use retraining::{Budgets, Gate, Sampling, Training, Trials};

/// A document of settings. What is stored may leave fields out; they have their defaults.
pub trait Document: Serialize + DeserializeOwned + Default {
    /// Its name, such as `monitor`.
    const NAME: &'static str;
    /// One sentence for people.
    const ABOUT: &'static str;

    /// Checks the ranges of all fields.
    ///
    /// # Errors
    /// Names the first field that is outside its range.
    fn check(&self) -> Result<(), Problem>;
}

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// No document has this name.
    #[error("there are no settings named {name:?}; there are {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// A field is unknown or of another type.
    #[error("{setting} cannot be used: {reason}")]
    Type {
        /// Document and field, such as `monitor.breaches`.
        setting: String,
        /// What was expected.
        reason: String,
    },
    /// A field is outside its range.
    #[error("{document}.{problem}")]
    Range {
        /// The document.
        document: &'static str,
        /// The field and its range.
        problem: Problem,
    },
}

/// A document as `modloop settings` lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Every field with its default.
    pub defaults: Value,
}

/// Reads a document, with defaults for what it leaves out.
///
/// # Errors
/// Names the field that is unknown, of another type, or outside its range.
pub fn read<T: Document>(document: &Value) -> Result<T, SettingsError> {
    if !document.is_object() {
        let (setting, reason) = (T::NAME.to_owned(), "expected an object of fields".to_owned());
        return Err(SettingsError::Type { setting, reason });
    }
    let read: T = serde_path_to_error::deserialize(document).map_err(|error| {
        let path = error.path().to_string();
        let setting = if path == "." { T::NAME.to_owned() } else { format!("{}.{path}", T::NAME) };
        SettingsError::Type { setting, reason: error.into_inner().to_string() }
    })?;
    match read.check() {
        Ok(()) => Ok(read),
        Err(problem) => Err(SettingsError::Range { document: T::NAME, problem }),
    }
}

macro_rules! documents {
    ($($document:ident),+) => {
        /// Every document.
        pub fn all() -> Vec<Described> {
            vec![$(Described {
                name: $document::NAME,
                about: $document::ABOUT,
                defaults: serde_json::json!($document::default()),
            }),+]
        }

        /// Checks a document by its name, and completes it with defaults.
        ///
        /// # Errors
        /// As [`read`], and a name that no document has.
        pub fn complete(name: &str, document: &Value) -> Result<Value, SettingsError> {
            match name {
                $($document::NAME => read::<$document>(document).map(|read| serde_json::json!(read)),)+
                _ => Err(SettingsError::Unknown {
                    name: name.chars().take(40).collect(),
                    known: vec![$($document::NAME),+],
                }),
            }
        }
    };
}

documents!(Monitor, Retention, Sampling, Budgets, Gate, Trials, Training, Labeler);
