//! What came of predictions, and why.

use chrono::{DateTime, Utc};
use modloop_domain::{
    CommunityThresholds, ContentHash, Decision, ItemId, Judgment, Label, ModelVersion, Probability,
};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::predictions::probabilities;
use crate::row::{column, content_hash, document, parsed, parsed_list, parsed_or_none};
use crate::{Store, StoreError};

/// An automatic decision by scores and thresholds, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoredDecision {
    /// What it is about.
    pub item: ItemId,
    /// Of the text that was judged.
    #[serde(skip)]
    pub content_hash: ContentHash,
    /// What came of it.
    pub decision: Decision,
    /// The label that led to it.
    pub label: Option<Label>,
    /// The model that decided.
    pub model: ModelVersion,
    /// Its labels, in the order of the scores.
    pub labels: Vec<Label>,
    /// What the model said.
    pub scores: Vec<Probability>,
    /// The thresholds of that moment.
    pub thresholds: CommunityThresholds,
    /// When.
    pub at: DateTime<Utc>,
}

impl ScoredDecision {
    /// Decides again from what is stored. Gives the same decision and label, whatever has changed since.
    pub fn replay(&self) -> Judgment {
        self.thresholds.judge(&self.labels, &self.scores)
    }
}

pub(crate) const OF_ITEM: &str = "
    select d.item_id as id, d.content_hash, d.outcome, d.label, m.version as model, m.labels, d.scores,
        p.thresholds, d.at
    from items i join decisions d on d.part = i.part and d.item_id = i.id
        join policies p on p.id = d.policy_id join models m on m.id = d.model_id
    where i.id = $1 and d.decided_by = 'threshold'
    order by d.at desc";

impl Store {
    /// The automatic decisions about an item, newest first: one for each text that was scored.
    pub async fn decisions(&self, item: &ItemId) -> Result<Vec<ScoredDecision>, StoreError> {
        let parameters = [(&item.as_str() as _, Type::TEXT)];
        self.rows("reading decisions", OF_ITEM, &parameters).await?.iter().map(decision).collect()
    }
}

fn decision(row: &Row) -> Result<ScoredDecision, StoreError> {
    Ok(ScoredDecision {
        item: parsed(row, "id")?,
        content_hash: content_hash(row)?,
        decision: parsed(row, "outcome")?,
        label: parsed_or_none(row, "label")?,
        model: parsed(row, "model")?,
        labels: parsed_list(row, "labels")?,
        scores: probabilities(row)?,
        thresholds: document(row, "thresholds")?,
        at: column(row, "at")?,
    })
}
