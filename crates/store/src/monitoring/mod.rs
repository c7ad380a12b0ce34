//! What the monitor asks of the store: counts over a window, and a memory of what they led to.

mod counting;
mod reporting;

use chrono::{DateTime, Utc};
use modloop_domain::{Label, ModelVersion, Probability, SubredditName, Thresholds};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;

pub use counting::{Counts, Grid, LabelOutcomes};
#[cfg(test)]
pub(crate) use counting::{FIRST_BEFORE, IN_WINDOW, OUTCOMES, histograms};
pub use reporting::{DueRequest, NewReport, Past, StoredReport};

use crate::{Store, StoreError};

/// From `start` on and before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Belongs to the window.
    pub start: DateTime<Utc>,
    /// Does not.
    pub end: DateTime<Utc>,
}

/// A model that decided about items of an enabled subreddit in a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub(crate) subreddit_id: i32,
    /// Whose items.
    pub subreddit: SubredditName,
    /// The subreddit's own, as they are now.
    pub thresholds: Thresholds,
    /// Which model.
    pub model: ModelVersion,
    /// In the order of its scores.
    pub labels: Vec<Label>,
}

/// Shadow models decide nothing and are judged elsewhere.
pub(crate) const TARGETS: &str = "
    select s.id, s.name, s.review_threshold, s.remove_threshold, m.version, m.labels
    from subreddits s cross join models m
    where s.enabled and exists (
        select from predictions p
        where p.subreddit_id = s.id and p.model_version = m.version and p.decides
            and p.scored_at >= $1 and p.scored_at < $2)
    order by s.name, m.registered_at, m.version";

const FINDING: &str = "finding what to monitor";

impl Store {
    /// Every enabled subreddit with every model that decided there in the window.
    pub async fn monitored(&self, window: Window) -> Result<Vec<Target>, StoreError> {
        let rows = self.client.query(TARGETS, &[&window.start, &window.end]).await;
        rows.map_err(StoreError::query(FINDING))?.iter().map(target).collect()
    }

    /// The baseline a model was registered with, as its bundle wrote it.
    pub async fn baseline(&self, model: &ModelVersion) -> Result<Value, StoreError> {
        let row =
            self.client.query_one("select baseline from models where version = $1", &[&model.as_str()]).await;
        let error = StoreError::query("reading a model's baseline");
        row.map_err(&error)?.try_get("baseline").map_err(&error)
    }
}

fn target(row: &Row) -> Result<Target, StoreError> {
    let error = StoreError::query(FINDING);
    let (name, version): (&str, &str) =
        (row.try_get("name").map_err(&error)?, row.try_get("version").map_err(&error)?);
    let corrupt = |what: &dyn std::fmt::Display| {
        StoreError::corrupt(format!("subreddit {name} or model {version} with an unusable value: {what}"))
    };
    let p = |column| Probability::new(row.try_get(column).map_err(&error)?).map_err(|e| corrupt(&e));
    let labels: Vec<String> = row.try_get("labels").map_err(&error)?;
    Ok(Target {
        subreddit_id: row.try_get("id").map_err(&error)?,
        subreddit: name.parse().map_err(|e| corrupt(&e))?,
        thresholds: Thresholds::new(p("review_threshold")?, p("remove_threshold")?)
            .map_err(|e| corrupt(&e))?,
        model: version.parse().map_err(|e| corrupt(&e))?,
        labels: labels.into_iter().map(|l| l.parse().map_err(|e| corrupt(&e))).collect::<Result<_, _>>()?,
    })
}

fn count(row: &Row, column: &str) -> Result<u64, StoreError> {
    row.try_get::<_, i64>(column).map(i64::unsigned_abs).map_err(StoreError::query("reading a count"))
}
