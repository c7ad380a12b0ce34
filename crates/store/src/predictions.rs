//! What inference asks: texts to score, and a place for what the models said and what came of it.

use std::collections::BTreeMap;

use modloop_domain::{
    CommunityThresholds, ContentHash, Decision, ItemId, ItemText, Label, ModelVersion, Probability,
};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, Type};

use crate::items::as_text;
use crate::models::{Challenger, HealthEntry};
use crate::row::{as_bytea, column, content_hash, count, document, parsed};
use crate::{Store, StoreError};

/// An item that waits for its scores.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemToScore {
    /// Names it.
    pub id: ItemId,
    /// What is scored.
    pub text: ItemText,
    /// Goes back with the prediction: an item that was edited meanwhile stays due.
    pub content_hash: ContentHash,
    /// Those of its community.
    pub thresholds: CommunityThresholds,
    /// Names the thresholds in the decision.
    pub policy_id: i32,
}

/// The scores of one item by one model, and what they lead to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewPrediction {
    /// The item.
    pub id: ItemId,
    /// Hash of the text that was scored.
    #[serde(serialize_with = "as_bytea")]
    pub content_hash: ContentHash,
    /// The model.
    pub model: ModelVersion,
    /// In the order of the model's labels.
    pub scores: Vec<Probability>,
    /// By the community's thresholds.
    pub decision: Decision,
    /// The label that led to the decision.
    pub label: Option<Label>,
    /// All labels that reached a review threshold.
    pub flagged_labels: Vec<Label>,
    /// The thresholds that were used.
    pub policy_id: i32,
    /// False for a model that scores in the shadow of the champion.
    pub decides: bool,
    /// Tokens of the whole text.
    pub tokens: u32,
    /// Those the model's vocabulary lacks.
    pub unknown_tokens: u32,
    /// Windows that were scored.
    pub windows: u32,
    /// False: the text was longer than the limit of windows.
    pub read_whole: bool,
}

impl NewPrediction {
    /// The highest score.
    pub fn top_score(&self) -> f32 {
        self.scores.iter().map(|score| score.get()).fold(0.0, f32::max)
    }
}

/// How a trial's models did on a batch. Written with the batch's predictions.
#[derive(Debug, Clone, Copy)]
pub struct BatchHealth<'a> {
    /// Who is on trial.
    pub challenger: &'a Challenger,
    /// Both models.
    pub entries: &'a [HealthEntry],
}

/// What became of a batch of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recorded {
    /// New rows.
    pub inserted: u64,
    /// Were there already: delivered twice.
    pub known: u64,
    /// The item was edited, deleted or lost since its text was read; nothing was written for it.
    pub superseded: u64,
}

/// Only items that still wait: one that was scored, deleted or never stored has no work left in it.
pub(crate) const TO_SCORE: &str = "
    select i.id, t.title, t.body, i.content_hash, c.policy_id, p.thresholds
    from items i join item_texts t on t.part = i.part and t.item_id = i.id
        join communities c on c.id = i.community_id join policies p on p.id = c.policy_id
    where i.id = any($1) and i.pending_since is not null and i.content_hash is not null";

/// Rows are locked in one order, so that two batches that share items wait for each other instead of
/// blocking each other. The comparison of hashes is repeated after the wait, and so is the look at what still
/// waits: of two models that meant to decide about one text, in a switch, the first decides. Everything else
/// follows from rows that are unique, so the whole statement may be repeated.
pub(crate) const RECORD: &str = "
    with scored as (
        select s.*, m.id as model_id from jsonb_to_recordset($1) as s(
            id text, content_hash bytea, model text, scores real[], decision text, label text,
            flagged_labels text[], policy_id integer, decides boolean, tokens integer,
            unknown_tokens integer, windows smallint, read_whole boolean)
        join models m on m.version = s.model
    ), present as (
        select s.*, i.part, i.community_id, i.live, i.text_version, i.created_at,
            i.pending_since is not null as waits
        from scored s join items i on i.id = s.id and i.content_hash = s.content_hash
        order by i.id
        for no key update of i
    ), inserted as (
        insert into predictions (part, item_id, content_hash, model_id, community_id, scores, live, decides,
            tokens, unknown_tokens, windows, read_whole)
        select part, id, content_hash, model_id, community_id, scores, live, decides and waits,
            tokens, unknown_tokens, windows, read_whole
        from present
        on conflict (part, item_id, content_hash, model_id) do nothing
        returning decides
    ), decided as (
        insert into decisions (part, item_id, content_hash, no, community_id, policy_id, model_id, live,
            text_version, outcome, decided_by, scores, label)
        select part, id, content_hash, 0, community_id, policy_id, model_id, live,
            text_version, decision, 'threshold', scores, label
        from present where decides and waits
        on conflict (part, item_id, content_hash, no) do nothing
        returning item_id, community_id, live, outcome
    ), settled as (
        update items i set pending_since = null, queue_attempts = 0
        from present p
        where i.id = p.id and i.content_hash = p.content_hash and p.decides and i.pending_since is not null
    ), queued as (
        insert into queue (item_id, part, community_id, priority, outcome, labels, model_id, author, created_at)
        select p.id, p.part, p.community_id, (select max(score) from unnest(p.scores) as score), p.decision,
            p.flagged_labels, p.model_id, t.author, p.created_at
        from present p join decided d on d.item_id = p.id
            left join item_texts t on t.part = p.part and t.item_id = p.id
        where p.decides and p.live and p.decision <> 'allow'
        on conflict (item_id) do update
        set priority = excluded.priority, outcome = excluded.outcome, labels = excluded.labels,
            model_id = excluded.model_id, author = excluded.author, opened_by = null, opened_until = null
    ), dequeued as (
        delete from queue q using decided d where q.item_id = d.item_id and d.outcome = 'allow'
    ), counted as (
        insert into count_deltas (community_id, scored, flagged)
        select community_id, count(*), count(*) filter (where outcome <> 'allow')
        from decided where live group by community_id
    ), noted as (
        insert into trial_health (challenger_id, mode, model_id, items, failed, load_failures, milliseconds)
        select c.id, $3, m.id, h.items, h.failed, h.load_failures, h.milliseconds
        from jsonb_to_recordset($4) as h(model text, items bigint, failed bigint, load_failures bigint,
                milliseconds double precision)
            join models m on m.version = h.model join models c on c.version = $2
        where exists (select from inserted) or not exists (select from scored)
    )
    select (select count(*) from present where decides) as present,
        (select count(*) from inserted where decides) as inserted";

const FLAGGED_BY: &str = "
    select i.id, p.scores, m.labels, po.thresholds
    from items i
        join predictions p on p.part = i.part and p.item_id = i.id and p.content_hash = i.content_hash
        join models m on m.id = p.model_id
        join communities c on c.id = i.community_id join policies po on po.id = c.policy_id
    where i.id = any($1) and m.version = $2";

impl Store {
    /// The texts of those items that still wait for scores. Items that were deleted or scored meanwhile are
    /// absent: there is nothing left to do for them.
    pub async fn items_to_score(&self, items: &[ItemId]) -> Result<Vec<ItemToScore>, StoreError> {
        let parameters = [(&as_text(items) as _, Type::TEXT_ARRAY)];
        self.rows("reading items to score", TO_SCORE, &parameters).await?.iter().map(item_to_score).collect()
    }

    /// Writes predictions, decisions, the people's queue and a trial's health, and settles the items, in one
    /// statement. May be repeated: what is there stays, and counts once. Predictions that decide nothing are
    /// written and not counted.
    pub async fn record_predictions(
        &self,
        predictions: &[NewPrediction],
        health: Option<BatchHealth<'_>>,
    ) -> Result<Recorded, StoreError> {
        let challenger = health.map(|health| health.challenger.model.version.as_str());
        let mode = health.map(|health| health.challenger.mode.as_str());
        let entries = health.map(|health| health.entries).unwrap_or_default();
        let parameters = [
            (&Json(predictions) as _, Type::JSONB),
            (&challenger as _, Type::TEXT),
            (&mode as _, Type::TEXT),
            (&Json(entries) as _, Type::JSONB),
        ];
        let row = self.row("recording predictions", RECORD, &parameters).await?;
        let (present, inserted) = (count(&row, "present")?, count(&row, "inserted")?);
        let given = predictions.iter().filter(|prediction| prediction.decides).count() as u64;
        Ok(Recorded {
            inserted,
            known: present.saturating_sub(inserted),
            superseded: given.saturating_sub(present),
        })
    }

    /// Whether a model would flag the present content of items by the thresholds of now, also where another
    /// model decides. Items that it has not scored are absent.
    pub async fn flagged_by(
        &self,
        model: &ModelVersion,
        items: &[ItemId],
    ) -> Result<BTreeMap<ItemId, bool>, StoreError> {
        let parameters = [(&as_text(items) as _, Type::TEXT_ARRAY), (&model.as_str() as _, Type::TEXT)];
        let rows = self.rows("reading what a model flagged", FLAGGED_BY, &parameters).await?;
        let flagged = |row: &Row| {
            let thresholds: CommunityThresholds = document(row, "thresholds")?;
            let judged = thresholds.judge(&crate::row::parsed_list(row, "labels")?, &probabilities(row)?);
            Ok((parsed(row, "id")?, judged.decision != Decision::Allow))
        };
        rows.iter().map(flagged).collect()
    }
}

/// The column `scores`.
pub(crate) fn probabilities(row: &Row) -> Result<Vec<Probability>, StoreError> {
    let scores: Vec<f32> = column(row, "scores")?;
    let scores = scores.into_iter().map(Probability::new).collect::<Result<_, _>>();
    scores.map_err(|e| StoreError::corrupt(format!("a score that cannot be: {e}")))
}

fn item_to_score(row: &Row) -> Result<ItemToScore, StoreError> {
    Ok(ItemToScore {
        id: parsed(row, "id")?,
        text: ItemText::new(column(row, "title")?, column(row, "body")?),
        content_hash: content_hash(row)?,
        thresholds: document(row, "thresholds")?,
        policy_id: column(row, "policy_id")?,
    })
}
