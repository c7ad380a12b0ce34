use std::collections::{BTreeMap, BTreeSet};

use modloop_domain::{ContentHash, Fullname, Label};
use serde::{Serialize, Serializer};
use tokio_postgres::types::Json;

use super::named;
use crate::{Store, StoreError};

/// What an LLM says about an item.
#[derive(Clone, PartialEq, Serialize)]
pub struct LlmLabel {
    /// The item.
    pub fullname: Fullname,
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
        write!(f, "{} {:?} by {}", self.fullname, self.values, self.model)
    }
}

/// What a person says about an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HumanLabel {
    /// The item, with the text it has now.
    pub fullname: Fullname,
    /// Has the label or has it not.
    pub values: BTreeMap<Label, bool>,
}

/// What became of labels that were imported.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Imported {
    /// Items whose labels are stored.
    pub items: u64,
    /// Items that are not known here or whose text is gone; nothing is stored about them.
    pub unknown: Vec<Fullname>,
}

/// An item that was edited or scrubbed since its text was read gets no label: nobody can tell what it is about.
const RECORD_LLM: &str = "
    insert into labels (fullname, content_hash, label, value, source, run_id, model, rubric_version,
        rationale, tokens, cost_micros)
    select i.fullname, i.content_hash, v.key, v.value::boolean, 'llm', $1, s.model, s.rubric_version,
        s.rationale, s.tokens, s.cost_micros
    from jsonb_to_recordset($2) as s(fullname text, content_hash bytea, values jsonb, model text,
            rubric_version text, rationale text, tokens integer, cost_micros bigint)
        join items i on i.fullname = s.fullname and i.content_hash = s.content_hash
        cross join lateral jsonb_each_text(s.values) v
    on conflict (fullname, content_hash, label, source) do nothing";

const RECORD_HUMAN: &str = "
    with stored as (
        insert into labels (fullname, content_hash, label, value, source, origin)
        select i.fullname, i.content_hash, v.key, v.value::boolean, 'human', $1
        from jsonb_to_recordset($2) as s(fullname text, values jsonb)
            join items i on i.fullname = s.fullname and i.content_hash is not null
            cross join lateral jsonb_each_text(s.values) v
        on conflict (fullname, content_hash, label, source) do update
        set value = excluded.value, origin = excluded.origin, labelled_at = now()
        returning fullname
    )
    select distinct fullname from stored";

impl Store {
    /// Stores what an LLM said. May be repeated: the first label stays.
    pub async fn record_llm_labels(&self, run: i64, labels: &[LlmLabel]) -> Result<(), StoreError> {
        let stored = self.client.execute(RECORD_LLM, &[&run, &Json(labels)]).await;
        stored.map(|_rows| ()).map_err(StoreError::query("storing labels of an LLM"))
    }

    /// Stores what people say. A later import about the same text replaces an earlier one. Each item may
    /// occur once.
    pub async fn import_labels(&self, origin: &str, labels: &[HumanLabel]) -> Result<Imported, StoreError> {
        let rows = self.client.query(RECORD_HUMAN, &[&origin, &Json(labels)]).await;
        let rows = rows.map_err(StoreError::query("storing labels of people"))?;
        let known: BTreeSet<Fullname> =
            rows.iter().map(|row| named(row, "fullname")).collect::<Result<_, _>>()?;
        let unknown = labels.iter().filter(|label| !known.contains(&label.fullname));
        Ok(Imported { items: known.len() as u64, unknown: unknown.map(|l| l.fullname.clone()).collect() })
    }
}

/// Postgres reads `bytea` from text in this form.
pub(super) fn as_bytea<S: Serializer>(hash: &ContentHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("\\x{}", hex::encode(hash.as_bytes())))
}
