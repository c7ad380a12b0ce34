use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use tokio_postgres::types::Type;

use crate::row::column;
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
        let sql = "insert into run_events (run_id, state, what, facts)
                   select id, state, $2, $3 from runs where id = $1";
        let parameters = [(&run as _, Type::INT8), (&what as _, Type::TEXT), (facts as _, Type::JSONB)];
        self.change("telling what happened in a training run", sql, &parameters).await.map(drop)
    }

    /// The story of a run, oldest first.
    pub async fn story(&self, run: i64) -> Result<Vec<RunEvent>, StoreError> {
        let sql = "select at, state, what, facts from run_events where run_id = $1 order by id";
        let rows = self.rows("reading the story of a training run", sql, &[(&run as _, Type::INT8)]).await?;
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
