//! What retraining asks of the store: runs and their story, samples, labels, the budget, switches of models
//! and how a trial goes.
//!
//! A run moves by one statement that changes nothing unless the run is still where the caller saw it, so
//! that two processes, or one that was killed and its successor, move it once.

mod budget;
mod by_hand;
mod labelled;
mod labels;
mod run;
mod runs;
mod sampling;
mod story;
mod switching;
mod trials;

pub use budget::{Limit, Reservation, Spend, Spent};
pub use by_hand::SwitchError;
pub use labelled::{Agreed, LabelledItem, TruthSource};
pub use labels::{HumanLabel, Imported, LlmLabel};
pub use run::{Progress, RequestedBy, Run, RunRequest, RunState};
pub use runs::RunLock;
pub use sampling::{Candidate, SampledItem, UnlabelledItem};
pub use story::RunEvent;
pub use switching::{Change, KnownModel, Switch, TrialStart};
pub use trials::{Health, HealthEntry, TrialNumbers};

use modloop_domain::ContentHash;
use tokio_postgres::Row;

use crate::StoreError;

/// A column as the type that Postgres gives it in.
fn column<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, name: &str) -> Result<T, StoreError> {
    row.try_get(name).map_err(StoreError::query("reading a row of a training run"))
}

/// A column whose text must be one of the domain's names.
fn named<T>(row: &Row, name: &str) -> Result<T, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    parsed(column::<&str>(row, name)?, name)
}

/// The same where the column may be null.
fn named_or_none<T>(row: &Row, name: &str) -> Result<Option<T>, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    column::<Option<&str>>(row, name)?.map(|text| parsed(text, name)).transpose()
}

fn parsed<T>(text: &str, name: &str) -> Result<T, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e| StoreError::corrupt(format!("a {name} that is refused: {e}")))
}

fn hash(row: &Row) -> Result<ContentHash, StoreError> {
    ContentHash::from_bytes(column(row, "content_hash")?)
        .ok_or_else(|| StoreError::corrupt("a hash that is not 32 bytes long"))
}

fn count(row: &Row, name: &str) -> Result<u64, StoreError> {
    column::<i64>(row, name).map(i64::unsigned_abs)
}
