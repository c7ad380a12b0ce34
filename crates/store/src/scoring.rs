//! What inference asks of the store: texts to score, and a place for the scores.

use std::collections::BTreeMap;
use std::time::Duration;

use modloop_domain::{
    ContentHash, Decision, Fullname, ItemText, ModelVersion, Probability, Thresholds, ThresholdsError,
};
use serde::{Serialize, Serializer};
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use crate::{Store, StoreError};

/// An item that waits for its scores.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemToScore {
    /// Reddit's key.
    pub fullname: Fullname,
    /// What is scored.
    pub text: ItemText,
    /// Goes back with the prediction: an item that was edited meanwhile stays due.
    pub content_hash: ContentHash,
    /// Those of its subreddit.
    pub thresholds: Thresholds,
}

/// The scores of one item by one model. The column names of `predictions`.
#[derive(Debug, Clone, Serialize)]
pub struct NewPrediction {
    /// The item.
    pub fullname: Fullname,
    /// Hash of the text that was scored.
    #[serde(serialize_with = "as_bytea")]
    pub content_hash: ContentHash,
    /// The model.
    pub model_version: ModelVersion,
    /// In the order of the model's labels.
    pub scores: Vec<Probability>,
    /// The highest of them.
    pub top_score: Probability,
    /// Mean over labels of the binary entropy of each score, in bits.
    pub entropy: f32,
    /// By the subreddit's thresholds.
    pub decision: Decision,
    /// False for a model that scores in the shadow of the champion.
    pub decides: bool,
    /// Tokens of the whole text.
    pub tokens: u32,
    /// Those the model's vocabulary lacks.
    pub unknown_tokens: u32,
    /// Windows that were scored.
    pub windows: u32,
    /// The text was longer than the limit of windows.
    pub truncated: bool,
}

/// What became of a batch of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recorded {
    /// New rows.
    pub inserted: u64,
    /// Were there already: delivered twice.
    pub known: u64,
    /// The item was edited, scrubbed or lost since its text was read; nothing was written for it.
    pub superseded: u64,
}

/// Only items that still wait: one that was scored, scrubbed or never stored has no work left in it.
pub(crate) const TO_SCORE: &str = "
    select i.fullname, i.title, coalesce(i.body, '') as body, i.content_hash,
           s.review_threshold, s.remove_threshold
    from items i join subreddits s on s.id = i.subreddit_id
    where i.fullname = any($1) and i.pending_since is not null and i.content_hash is not null";

/// Rows are locked in one order, so that two batches that share items wait for each other instead of
/// for ever. The comparison of hashes is repeated after the wait, and so is the look at what still waits:
/// of two models that meant to decide about one text, in a switch, the first decides.
pub(crate) const RECORD: &str = "
    with scored as (
        select * from jsonb_to_recordset($1) as s(
            fullname text, content_hash bytea, model_version text, scores real[], top_score real,
            entropy real, decision text, decides boolean, tokens integer, unknown_tokens integer,
            windows smallint, truncated boolean)
    ), present as (
        select s.*, i.subreddit_id, i.pending_since is not null as waits
        from scored s join items i on i.fullname = s.fullname and i.content_hash = s.content_hash
        order by i.fullname
        for no key update of i
    ), inserted as (
        insert into predictions (fullname, content_hash, model_version, subreddit_id, scores, top_score,
            entropy, decision, decides, tokens, unknown_tokens, windows, truncated)
        select fullname, content_hash, model_version, subreddit_id, scores, top_score,
            entropy, decision, decides and waits, tokens, unknown_tokens, windows, truncated
        from present
        on conflict (fullname, content_hash, model_version) do nothing
        returning decides
    ), settled as (
        update items i set pending_since = null, queue_attempts = 0
        from present p
        where i.fullname = p.fullname and i.content_hash = p.content_hash and p.decides
            and i.pending_since is not null
    )
    select (select count(*) from present where decides) as present,
        (select count(*) from inserted where decides) as inserted";

pub(crate) const OLDEST_UNSCORED: &str = "
    select extract(epoch from now() - min(pending_since))::float8
    from items where pending_since is not null";

const FLAGGED: &str = "
    select i.fullname, p.decision <> 'allow' as flagged
    from items i join predictions p on p.fullname = i.fullname and p.content_hash = i.content_hash
    where i.fullname = any($1) and p.model_version = $2";

impl Store {
    /// What a model says of the present content of items, also where another one decides: whether it would
    /// flag them for review or removal. Items that it has not scored are absent.
    pub async fn flagged_by(
        &self,
        model: &ModelVersion,
        items: &[Fullname],
    ) -> Result<BTreeMap<Fullname, bool>, StoreError> {
        let error = StoreError::query("reading what a model flagged");
        let names: Vec<&str> = items.iter().map(Fullname::as_str).collect();
        let rows = self.client.query(FLAGGED, &[&names, &model.as_str()]).await.map_err(&error)?;
        let flagged = |row: &Row| {
            let name: &str = row.try_get("fullname").map_err(&error)?;
            let corrupt =
                |_| StoreError::corrupt(format!("item {name} with a name that is none of Reddit's"));
            Ok((name.parse().map_err(corrupt)?, row.try_get("flagged").map_err(&error)?))
        };
        rows.iter().map(flagged).collect()
    }

    /// The texts of those items that still wait for scores. Items that were deleted, scrubbed or scored
    /// meanwhile are simply absent: there is nothing left to do for them.
    pub async fn items_to_score(&self, names: &[Fullname]) -> Result<Vec<ItemToScore>, StoreError> {
        let names: Vec<&str> = names.iter().map(Fullname::as_str).collect();
        let rows = self
            .client
            .query(TO_SCORE, &[&names])
            .await
            .map_err(StoreError::query("reading items to score"))?;
        rows.iter().map(item_to_score).collect()
    }

    /// Writes scores and settles the items, in one statement. May be repeated: what is there stays, and
    /// counts once. Predictions that decide nothing are written and not counted.
    pub async fn record_predictions(&self, predictions: &[NewPrediction]) -> Result<Recorded, StoreError> {
        let error = StoreError::query("recording predictions");
        let row = self.client.query_one(RECORD, &[&Json(predictions)]).await.map_err(&error)?;
        let count = |column| row.try_get::<_, i64>(column).map(i64::unsigned_abs).map_err(&error);
        let (present, inserted) = (count("present")?, count("inserted")?);
        let given = predictions.iter().filter(|prediction| prediction.decides).count() as u64;
        Ok(Recorded {
            inserted,
            known: present.saturating_sub(inserted),
            superseded: given.saturating_sub(present),
        })
    }

    /// How long the oldest item has been waiting for its scores; `None` when none waits.
    pub async fn oldest_unscored(&self) -> Result<Option<Duration>, StoreError> {
        let error = StoreError::query("looking for the oldest unscored item");
        let age: Option<f64> = self.client.query_one_scalar(OLDEST_UNSCORED, &[]).await.map_err(error)?;
        // Clocks that were set back must not fail a batch.
        Ok(age.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
    }
}

fn item_to_score(row: &Row) -> Result<ItemToScore, StoreError> {
    let error = StoreError::query("reading items to score");
    let name: &str = row.try_get("fullname").map_err(&error)?;
    let corrupt = |what: &str| StoreError::corrupt(format!("item {name} with {what}"));
    let hash: &[u8] = row.try_get("content_hash").map_err(&error)?;
    let (review, remove) =
        (row.try_get("review_threshold").map_err(&error)?, row.try_get("remove_threshold").map_err(&error)?);
    Ok(ItemToScore {
        fullname: name.parse().map_err(|_| corrupt("a name that is none of Reddit's"))?,
        text: ItemText::new(row.try_get("title").map_err(&error)?, row.try_get("body").map_err(&error)?),
        content_hash: ContentHash::from_bytes(hash)
            .ok_or_else(|| corrupt("a hash that is not 32 bytes long"))?,
        thresholds: thresholds(review, remove).map_err(|e| corrupt(&format!("unusable thresholds: {e}")))?,
    })
}

fn thresholds(review: f32, remove: f32) -> Result<Thresholds, String> {
    let probability = |value| Probability::new(value).map_err(|e| e.to_string());
    Thresholds::new(probability(review)?, probability(remove)?).map_err(|e: ThresholdsError| e.to_string())
}

/// Postgres reads `bytea` from text in this form.
fn as_bytea<S: Serializer>(hash: &ContentHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("\\x{}", hex::encode(hash.as_bytes())))
}
