//! The words Modloop thinks in: items, scores, decisions, model references.
//!
//! Everything here is pure: no clock, no network, no database. Types refuse bad states when they are
//! made, so that code which holds a [`Fullname`] or a [`Probability`] never checks it again.

mod decision;
mod fullname;
mod item;
mod message;
mod model;
mod probability;
mod subreddit;
pub mod text;

pub use decision::{Decision, Thresholds, ThresholdsError};
pub use fullname::{Fullname, FullnameError, ItemKind};
pub use item::{ContentHash, Item, ItemText};
pub use message::{MessageError, QueueMessage};
pub use model::{Label, ModelVersion, NameError};
pub use probability::{Probability, ProbabilityError};
pub use subreddit::{SubredditName, SubredditNameError};
