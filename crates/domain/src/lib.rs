//! The words that Modloop thinks in: items, communities, scores, decisions, runs, models, actors.
//!
//! Everything here is pure: no clock, no network, no database. Types refuse bad states when they are made,
//! so that code which holds an [`ItemId`] or a [`Probability`] never checks it again.

mod actor;
mod community;
mod content;
mod decision;
mod drift_verdict;
mod item;
mod item_id;
mod item_kind;
mod item_state;
mod message;
mod model;
mod policy;
mod probability;
mod run;
pub mod text;
mod words;

pub use actor::{Actor, ActorError};
pub use community::{Community, CommunityError, CommunityName, SourceName};
pub use content::{ContentHash, HashKey, NameKey};
pub use decision::{Decision, Thresholds, ThresholdsError};
pub use drift_verdict::DriftVerdict;
pub use item::{Item, ItemContext, ItemText};
pub use item_id::{ItemId, ItemIdError};
pub use item_kind::ItemKind;
pub use item_state::ItemState;
pub use message::{DriftRequest, MessageError, RetrainMessage, ScoreMessage};
pub use model::{Label, ModelVersion, NameError};
pub use policy::{CommunityThresholds, Judgment};
pub use probability::{Probability, ProbabilityError};
pub use run::{RequestedBy, RunState};
pub use words::UnknownWord;
