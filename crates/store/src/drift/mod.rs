//! What the monitor asks: predictions condensed into buckets, windows of them, and a record of what they led
//! to. The number of statements does not depend on the number of communities.

mod buckets;
mod counts;
mod references;
mod reporting;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use modloop_domain::{Community, CommunityThresholds, Label, ModelVersion};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::row::{column, count, parsed, parsed_list};
use crate::{Store, StoreError};

pub use buckets::Closing;
pub use counts::{Counts, Grid};
pub use reporting::{DueRequest, Episode, NewReport, Past, StoredReport};
#[cfg(test)]
pub(crate) use {buckets::NEXT, counts::IN_WINDOW};

/// A span of time: from `start` on and before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Belongs to the window.
    pub start: DateTime<Utc>,
    /// Does not.
    pub end: DateTime<Utc>,
}

/// A community and a model that decided about its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The number of a [`crate::communities::CommunityRow`].
    pub community: i32,
    /// The number of a [`ModelRow`].
    pub model: i16,
}

/// A model as the monitor needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRow {
    /// Names it in other tables.
    pub id: i16,
    /// Which one.
    pub version: ModelVersion,
    /// In the order of its scores.
    pub labels: Vec<Label>,
}

/// A community whose window is judged, with the model that decided there.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Names both.
    pub pair: Pair,
    /// Whose items.
    pub community: Community,
    /// The community's, as they are now.
    pub thresholds: CommunityThresholds,
    /// Which model.
    pub model: ModelVersion,
    /// In the order of its scores.
    pub labels: Vec<Label>,
}

/// Labeled items of one label, counted against their scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelOutcomes {
    /// The label.
    pub label: Label,
    /// The score was at the review threshold or above it.
    pub predicted: bool,
    /// What is taken for true.
    pub actual: bool,
    /// How many.
    pub items: u64,
}

/// Only labels of the text that was scored count. Labels are few, so they come first.
pub(crate) const OUTCOMES: &str = "
    select p.community_id, p.model_id, t.label, t.value as actual,
        p.scores[array_position(m.labels, t.label)] >= review_threshold(po.thresholds, t.label) as predicted,
        count(*) as items
    from label_truth t
        join items i on i.id = t.item_id
        join predictions p on p.part = i.part and p.item_id = t.item_id and p.content_hash = t.content_hash
        join models m on m.id = p.model_id
        join communities c on c.id = p.community_id join policies po on po.id = c.policy_id
    where p.decides and p.live and p.scored_at >= $1 and p.scored_at < $2
        and array_position(m.labels, t.label) is not null
    group by 1, 2, 3, 4, 5";

impl Store {
    /// All models.
    pub async fn model_rows(&self) -> Result<Vec<ModelRow>, StoreError> {
        let sql = "select id, version, labels from models order by registered_at, version";
        let model = |row: &Row| {
            Ok(ModelRow {
                id: column(row, "id")?,
                version: parsed(row, "version")?,
                labels: parsed_list(row, "labels")?,
            })
        };
        self.rows("reading the models", sql, &[]).await?.iter().map(model).collect()
    }

    /// Counts labeled items of the window by what was predicted and what is true, for all communities.
    pub async fn outcomes(&self, window: Window) -> Result<BTreeMap<Pair, Vec<LabelOutcomes>>, StoreError> {
        let parameters = [(&window.start as _, Type::TIMESTAMPTZ), (&window.end as _, Type::TIMESTAMPTZ)];
        let mut outcomes: BTreeMap<Pair, Vec<LabelOutcomes>> = BTreeMap::new();
        for row in self.rows("counting labeled items", OUTCOMES, &parameters).await? {
            outcomes.entry(pair(&row)?).or_default().push(LabelOutcomes {
                label: parsed(&row, "label")?,
                predicted: column(&row, "predicted")?,
                actual: column(&row, "actual")?,
                items: count(&row, "items")?,
            });
        }
        Ok(outcomes)
    }
}

fn pair(row: &Row) -> Result<Pair, StoreError> {
    Ok(Pair { community: column(row, "community_id")?, model: column(row, "model_id")? })
}
