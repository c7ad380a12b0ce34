//! What people and LLMs said about items, and what is chosen to be labeled.
//!
//! Labels are only added. `label_truth` (a view) says what is taken for true: people outrank LLMs.

mod labeled;
mod sampling;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use modloop_domain::{Actor, ContentHash, ItemId, Label};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::{Json, Type};

use crate::row::{as_bytea, column, parsed};
use crate::{Store, StoreError};

pub use labeled::{AgreementCounts, LabeledItem};
pub use sampling::{Candidate, SampledItem, UnlabeledItem};

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelKind {
    /// A person.
    Person,
    /// An LLM.
    Llm,
}

/// What an LLM says about an item.
#[derive(Clone, PartialEq, Serialize)]
pub struct LlmLabel {
    /// The item.
    pub item: ItemId,
    /// Of the text it saw.
    #[serde(serialize_with = "as_bytea")]
    pub content_hash: ContentHash,
    /// Has the label or has it not.
    pub values: BTreeMap<Label, bool>,
    /// Which LLM.
    pub model: String,
    /// Of the instructions it was given.
    pub rubric_version: String,
    /// Its reason. May quote the text, so it goes with it.
    pub rationale: String,
    /// Of the call.
    pub tokens: u64,
    /// Of the call, in millionths of a dollar.
    pub cost_micros: u64,
}

/// The rationale may quote somebody; it stays out of logs.
impl std::fmt::Debug for LlmLabel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} by {}", self.item, self.values, self.model)
    }
}

/// What a person says about an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HumanLabel {
    /// The item, with the text it has now.
    pub item: ItemId,
    /// Has the label or has it not.
    pub values: BTreeMap<Label, bool>,
}

/// What became of labels that were imported.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Imported {
    /// Items whose labels are stored.
    pub items: u64,
    /// Items that are not known here or whose text is gone; nothing is stored about them.
    pub unknown: Vec<ItemId>,
}

/// One label of an item: who said what, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Said {
    /// About which label.
    pub label: Label,
    /// Has it or has it not.
    pub value: bool,
    /// A person or an LLM.
    pub kind: LabelKind,
    /// Who.
    pub actor: String,
    /// The version of an LLM's instructions, or where a person's label comes from.
    pub rubric: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Whether it is about the text that the item has now.
    pub current: bool,
}

/// An item that was edited or deleted since its text was read gets no label: nobody can tell what it is about.
const RECORD_LLM: &str = "
    with said as (
        select i.id, i.content_hash, s.values, s.model, s.rubric_version, s.rationale, s.tokens, s.cost_micros
        from jsonb_to_recordset($2) as s(item text, content_hash bytea, values jsonb, model text,
                rubric_version text, rationale text, tokens integer, cost_micros bigint)
            join items i on i.id = s.item and i.content_hash = s.content_hash
    ), reasons as (
        insert into rationales (item_id, content_hash, run_id, rationale)
        select id, content_hash, $1, rationale from said on conflict do nothing
    )
    insert into labels (item_id, content_hash, label, value, kind, actor, rubric, run_id, tokens, cost_micros)
    select id, content_hash, v.key, v.value::boolean, 'llm', model, rubric_version, $1, tokens, cost_micros
    from said cross join lateral jsonb_each_text(said.values) v
    on conflict (item_id, content_hash, label, actor, rubric, vote) where kind = 'llm' do nothing";

/// Only what differs from the person's latest word is added, so that the same file twice changes nothing.
const RECORD_PERSON: &str = "
    with said as (
        select i.id, i.content_hash, v.key as label, v.value::boolean as value
        from jsonb_to_recordset($3) as s(item text, values jsonb)
            join items i on i.id = s.item and i.content_hash is not null
            cross join lateral jsonb_each_text(s.values) v
    ), added as (
        insert into labels (item_id, content_hash, label, value, kind, actor, rubric)
        select s.id, s.content_hash, s.label, s.value, 'person', $1, $2
        from said s
        where s.value is distinct from (
            select l.value from labels l
            where l.item_id = s.id and l.content_hash = s.content_hash and l.label = s.label
                and l.kind = 'person' and l.actor = $1
            order by l.id desc limit 1)
        returning item_id
    ), noted as (
        insert into audit (actor, action, subject, after)
        select $1, 'label.import', 'labels', jsonb_build_object('labels', count(*), 'items', count(distinct item_id))
        from added having count(*) > 0
    )
    select distinct id from said";

const OF_ITEM: &str = "
    select l.label, l.value, l.kind, l.actor, l.rubric, l.at,
        coalesce(l.content_hash = i.content_hash, false) as current
    from labels l join items i on i.id = l.item_id
    where l.item_id = $1 order by l.at desc, l.id desc";

impl Store {
    /// Stores what an LLM said. May be repeated: the first label stays.
    pub async fn record_llm_labels(&self, run: i64, labels: &[LlmLabel]) -> Result<(), StoreError> {
        let parameters = [(&run as _, Type::INT8), (&Json(labels) as _, Type::JSONB)];
        self.change("storing labels of an LLM", RECORD_LLM, &parameters).await.map(drop)
    }

    /// Stores what a person says, beside what others said. Each item may occur once. May be repeated.
    pub async fn import_labels(
        &self,
        actor: &Actor,
        origin: &str,
        labels: &[HumanLabel],
    ) -> Result<Imported, StoreError> {
        let parameters = [
            (&actor.as_str() as _, Type::TEXT),
            (&origin as _, Type::TEXT),
            (&Json(labels) as _, Type::JSONB),
        ];
        let rows = self.rows("storing labels of people", RECORD_PERSON, &parameters).await?;
        let known: BTreeSet<ItemId> = rows.iter().map(|row| parsed(row, "id")).collect::<Result<_, _>>()?;
        let unknown = labels.iter().filter(|label| !known.contains(&label.item));
        Ok(Imported { items: known.len() as u64, unknown: unknown.map(|l| l.item.clone()).collect() })
    }

    /// Everything that was said about an item, newest first.
    pub async fn labels_of(&self, item: &ItemId) -> Result<Vec<Said>, StoreError> {
        let parameters = [(&item.as_str() as _, Type::TEXT)];
        self.rows("reading an item's labels", OF_ITEM, &parameters).await?.iter().map(said).collect()
    }
}

fn said(row: &Row) -> Result<Said, StoreError> {
    Ok(Said {
        label: parsed(row, "label")?,
        value: column(row, "value")?,
        kind: kind(column(row, "kind")?),
        actor: column(row, "actor")?,
        rubric: column(row, "rubric")?,
        at: column(row, "at")?,
        current: column(row, "current")?,
    })
}

fn kind(word: &str) -> LabelKind {
    if word == "person" { LabelKind::Person } else { LabelKind::Llm }
}
