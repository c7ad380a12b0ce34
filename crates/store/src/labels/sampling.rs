use std::fmt;

use chrono::{DateTime, Utc};
use modloop_domain::{Community, CommunityThresholds, ContentHash, ItemId, ItemText};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, Type};

use crate::communities::community;
use crate::items::as_text;
use crate::row::{as_bytea, column, content_hash, document, parsed};
use crate::{Store, StoreError};

/// An item that may be labeled.
#[derive(Clone, PartialEq)]
pub struct Candidate {
    /// Names it.
    pub id: ItemId,
    /// Of the text as it is now.
    pub content_hash: ContentHash,
    /// Where it was posted.
    pub community: Community,
    /// The text.
    pub text: ItemText,
    /// What the deciding model gave it.
    pub top_score: f32,
    /// The community's.
    pub thresholds: CommunityThresholds,
    /// Whether a drift episode of the community is open, or is what the run was asked for.
    pub drifted: bool,
    /// Whether a person labeled it: the labeler is then measured by it.
    pub human: bool,
}

/// Texts stay out of logs.
impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.id, self.community)
    }
}

/// An item that was chosen for labeling.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampledItem {
    /// Names it.
    pub item: ItemId,
    /// Of the text that is to be labeled.
    #[serde(serialize_with = "as_bytea")]
    pub content_hash: ContentHash,
    /// Community and band of scores.
    pub stratum: String,
    /// How many items of the stratum it stands for.
    pub weight: f32,
    /// Never trained on.
    pub gold: bool,
}

/// A sampled item that has no label of an LLM yet.
#[derive(Clone, PartialEq)]
pub struct UnlabeledItem {
    /// Names it.
    pub id: ItemId,
    /// Of the text.
    pub content_hash: ContentHash,
    /// Where it was posted.
    pub community: Community,
    /// The text.
    pub text: ItemText,
}

impl fmt::Debug for UnlabeledItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.id, self.community)
    }
}

/// The newest of every community, so that a large one does not crowd out the others.
const CANDIDATES: &str = "
    select c.source, c.name, po.thresholds, i.id, i.content_hash, i.title, i.body, i.human, p.top_score,
        exists (select from drift_episodes e where e.community_id = c.id
            and (e.closed_at is null or e.id = (select episode from runs where id = $1))) as drifted
    from communities c join policies po on po.id = c.policy_id cross join lateral (
        select i.id, i.part, i.content_hash, x.title, x.body,
            exists (select from labels l where l.item_id = i.id
                and l.content_hash = i.content_hash and l.kind = 'person') as human
        from items i join item_texts x on x.part = i.part and x.item_id = i.id
        where i.community_id = c.id and i.created_at >= $2 and i.state = 'present' and i.live
            and i.content_hash is not null
            and not exists (select from labels l where l.item_id = i.id
                and l.content_hash = i.content_hash and l.kind = 'llm')
        order by i.created_at desc limit $3) i
    cross join lateral (
        select (select max(score) from unnest(p.scores) as score) as top_score
        from predictions p
        where p.part = i.part and p.item_id = i.id and p.content_hash = i.content_hash and p.decides
        order by p.scored_at desc limit 1) p
    where c.enabled";

const SAVE: &str = "
    insert into run_items (run_id, item_id, content_hash, stratum, weight, gold)
    select $1, s.item, s.content_hash, s.stratum, greatest(s.weight, 1), s.gold
    from jsonb_to_recordset($2) as s(item text, content_hash bytea, stratum text, weight real, gold boolean)
        join items i on i.id = s.item
    on conflict (run_id, item_id) do nothing";

/// Deleted and edited items drop out: their text is another, or none.
const UNLABELED: &str = "
    select r.item_id as id, r.content_hash, c.source, c.name, x.title, x.body
    from run_items r
        join items i on i.id = r.item_id and i.content_hash = r.content_hash
        join item_texts x on x.part = i.part and x.item_id = i.id
        join communities c on c.id = i.community_id
    where r.run_id = $1 and r.refusals < $2 and not exists (
        select from labels l where l.item_id = r.item_id and l.content_hash = r.content_hash
            and l.kind = 'llm')
    order by r.refusals, md5(r.item_id) limit $3";

const IN_DATA_SET: &str = "
    insert into data_set_items (run_id, item_id)
    select $1, i.id from items i where i.id = any($2) on conflict do nothing";

const DOING: &str = "choosing items to label";

impl Store {
    /// Items that may be labeled: scored, present, without a label of an LLM, posted since then; at most
    /// `limit` of each community, the newest.
    pub async fn candidates(
        &self,
        run: i64,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Candidate>, StoreError> {
        let parameters =
            [(&run as _, Type::INT8), (&since as _, Type::TIMESTAMPTZ), (&i64::from(limit) as _, Type::INT8)];
        self.rows(DOING, CANDIDATES, &parameters).await?.iter().map(candidate).collect()
    }

    /// Remembers a run's sample. May be repeated.
    pub async fn save_sample(&self, run: i64, items: &[SampledItem]) -> Result<(), StoreError> {
        let parameters = [(&run as _, Type::INT8), (&Json(items) as _, Type::JSONB)];
        self.change(DOING, SAVE, &parameters).await.map(drop)
    }

    /// Sampled items that still wait for their labels and were refused fewer than `max_refusals` times, in an
    /// order that does not depend on their content.
    pub async fn unlabeled(
        &self,
        run: i64,
        max_refusals: u16,
        limit: u32,
    ) -> Result<Vec<UnlabeledItem>, StoreError> {
        let parameters = [
            (&run as _, Type::INT8),
            (&i32::from(max_refusals) as _, Type::INT4),
            (&i64::from(limit) as _, Type::INT8),
        ];
        self.rows(DOING, UNLABELED, &parameters).await?.iter().map(unlabeled).collect()
    }

    /// Counts one more refusal for each of these items. Must not be repeated by itself.
    pub async fn count_refusals(&self, run: i64, items: &[ItemId]) -> Result<(), StoreError> {
        let sql = "update run_items set refusals = refusals + 1 where run_id = $1 and item_id = any($2)";
        let parameters = [(&run as _, Type::INT8), (&as_text(items) as _, Type::TEXT_ARRAY)];
        self.change("counting labels that were refused", sql, &parameters).await.map(drop)
    }

    /// Notes which items a run's data set holds, so that their deletion finds it. May be repeated.
    pub async fn note_data_set(&self, run: i64, items: &[ItemId]) -> Result<(), StoreError> {
        let parameters = [(&run as _, Type::INT8), (&as_text(items) as _, Type::TEXT_ARRAY)];
        self.change("noting what a data set holds", IN_DATA_SET, &parameters).await.map(drop)
    }
}

fn candidate(row: &Row) -> Result<Candidate, StoreError> {
    Ok(Candidate {
        id: parsed(row, "id")?,
        content_hash: content_hash(row)?,
        community: community(row)?,
        text: ItemText::new(column(row, "title")?, column(row, "body")?),
        top_score: column(row, "top_score")?,
        thresholds: document(row, "thresholds")?,
        drifted: column(row, "drifted")?,
        human: column(row, "human")?,
    })
}

fn unlabeled(row: &Row) -> Result<UnlabeledItem, StoreError> {
    Ok(UnlabeledItem {
        id: parsed(row, "id")?,
        content_hash: content_hash(row)?,
        community: community(row)?,
        text: ItemText::new(column(row, "title")?, column(row, "body")?),
    })
}
