use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::column;
use crate::{Store, StoreError};

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunEvent {
    /// When.
    pub at: DateTime<Utc>,
    /// The state the run was in, or came into.
    pub state: String,
    /// In words.
    pub what: String,
    /// With numbers.
    pub facts: Value,
}

impl Store {
    /// Adds to the story of a run.
    pub async fn tell(&self, run: i64, what: &str, facts: &Value) -> Result<(), StoreError> {
        let sql = "insert into training_run_events (run_id, state, what, facts)
                   select id, state, $2, $3 from training_runs where id = $1";
        let told = self.client.execute(sql, &[&run, &what, facts]).await;
        told.map(|_one| ()).map_err(StoreError::query("telling what happened in a training run"))
    }

    /// The story of a run, oldest first.
    pub async fn story(&self, run: i64) -> Result<Vec<RunEvent>, StoreError> {
        let sql = "select at, state, what, facts from training_run_events where run_id = $1 order by id";
        let rows = self.client.query(sql, &[&run]).await;
        let rows = rows.map_err(StoreError::query("reading the story of a training run"))?;
        rows.iter()
            .map(|row| {
                Ok(RunEvent {
                    at: column(row, "at")?,
                    state: column(row, "state")?,
                    what: column(row, "what")?,
                    facts: column(row, "facts")?,
                })
            })
            .collect()
    }
}
