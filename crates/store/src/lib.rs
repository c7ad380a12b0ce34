//! Postgres: what Modloop remembers.
//!
//! A [`Store`] is one connection with one method for each thing the functions ask; a [`Database`] keeps
//! one across invocations and reconnects when Postgres was restarted. [`migrate`] brings the schema up
//! to date; [`Store::connect`] refuses a schema that is older than this code.

mod connection;
mod database;
mod error;
mod fetching;
mod migrate;
mod models;
mod monitoring;
#[cfg(test)]
mod plans;
mod retraining;
mod scoring;
mod settings;
mod status;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;

pub use connection::Store;
pub use database::{Database, Session};
pub use error::StoreError;
pub use fetching::{Feed, Gap, Mark, STUCK_AFTER, ScrubReason, Stored};
pub use migrate::{MigrationReport, migrate};
pub use models::{AliasedModel, Challenger, ChallengerMode, NewModel, Serving};
pub use monitoring::{
    Counts, DueRequest, Grid, LabelOutcomes, NewReport, Past, StoredReport, Target, Window,
};
pub use retraining::{
    Agreed, Candidate, Change, Health, HealthEntry, HumanLabel, Imported, KnownModel, LabelledItem, Limit,
    LlmLabel, Progress, RequestedBy, Reservation, Run, RunEvent, RunLock, RunRequest, RunState, SampledItem,
    Spend, Spent, Switch, SwitchError, TrialNumbers, TrialStart, TruthSource, UnlabelledItem,
};
pub use scoring::{ItemToScore, NewPrediction, Recorded};
pub use settings::{Credentials, DatabaseSettings, SettingsError};
pub use status::{DecisionCounts, DriftVerdict, ModelInService, ModelMode, Status, SubredditStatus, Totals};
