use std::fmt;

use chrono::{DateTime, Utc};
use modloop_domain::{ContentHash, Fullname, ItemText, SubredditName};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::{column, hash, named};
use crate::{Store, StoreError};

/// An item that may be labelled.
#[derive(Clone, PartialEq)]
pub struct Candidate {
    /// Reddit's key.
    pub fullname: Fullname,
    /// Of the text as it is now.
    pub content_hash: ContentHash,
    /// Where it was posted.
    pub subreddit: SubredditName,
    /// The text.
    pub text: ItemText,
    /// What the deciding model gave it.
    pub top_score: f32,
    /// The subreddit's own, from here on a moderator looks.
    pub review_threshold: f32,
    /// From here on it is taken down.
    pub remove_threshold: f32,
    /// Whether a drift episode of the subreddit is open, or is what the run was asked for.
    pub drifted: bool,
    /// Whether a person labelled it: the labeller is then measured by it.
    pub human: bool,
}

/// Texts stay out of logs.
impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in r/{}", self.fullname, self.subreddit)
    }
}

/// An item that was chosen for labelling.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampledItem {
    /// Reddit's key.
    pub fullname: Fullname,
    /// Of the text that is to be labelled, in hex with `\x` before it, as Postgres reads `bytea`.
    #[serde(serialize_with = "super::labels::as_bytea")]
    pub content_hash: ContentHash,
    /// Subreddit and band of scores.
    pub stratum: String,
    /// How many items of the stratum it stands for.
    pub weight: f32,
    /// Never trained on.
    pub gold: bool,
}

/// A sampled item that has no label of an LLM yet.
#[derive(Clone, PartialEq)]
pub struct UnlabelledItem {
    /// Reddit's key.
    pub fullname: Fullname,
    /// Of the text.
    pub content_hash: ContentHash,
    /// Where it was posted.
    pub subreddit: SubredditName,
    /// The text.
    pub text: ItemText,
}

impl fmt::Debug for UnlabelledItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in r/{}", self.fullname, self.subreddit)
    }
}

/// The newest of every subreddit, so that a large one does not crowd out the others.
const CANDIDATES: &str = "
    select s.name as subreddit, s.review_threshold, s.remove_threshold, i.fullname, i.content_hash, i.title,
        i.body, i.human, p.top_score,
        exists (select from drift_episodes e where e.subreddit_id = s.id
            and (e.closed_at is null or e.id = (select episode from training_runs where id = $1))) as drifted
    from subreddits s cross join lateral (
        select i.fullname, i.content_hash, i.title, coalesce(i.body, '') as body,
            exists (select from labels l where l.fullname = i.fullname
                and l.content_hash = i.content_hash and l.source = 'human') as human
        from items i
        where i.subreddit_id = s.id and i.created_at >= $2 and i.scrubbed_at is null
            and i.content_hash is not null
            and not exists (select from labels l where l.fullname = i.fullname
                and l.content_hash = i.content_hash and l.source = 'llm')
        order by i.created_at desc limit $3) i
    cross join lateral (
        select p.top_score from predictions p
        where p.fullname = i.fullname and p.content_hash = i.content_hash and p.decides
        order by p.scored_at desc limit 1) p
    where s.enabled";

const SAVE: &str = "
    insert into run_items (run_id, fullname, content_hash, stratum, weight, gold)
    select $1, s.fullname, s.content_hash, s.stratum, greatest(s.weight, 1), s.gold
    from jsonb_to_recordset($2) as s(fullname text, content_hash bytea, stratum text, weight real, gold boolean)
        join items i on i.fullname = s.fullname
    on conflict (run_id, fullname) do nothing";

/// Scrubbed and edited items drop out: their text is another, or none.
const UNLABELLED: &str = "
    select r.fullname, r.content_hash, s.name as subreddit, i.title, coalesce(i.body, '') as body
    from run_items r
        join items i on i.fullname = r.fullname and i.content_hash = r.content_hash
        join subreddits s on s.id = i.subreddit_id
    where r.run_id = $1 and r.refusals < $2 and not exists (
        select from labels l where l.fullname = r.fullname and l.content_hash = r.content_hash
            and l.source = 'llm')
    order by r.refusals, md5(r.fullname) limit $3";

const DOING: &str = "choosing items to label";

impl Store {
    /// Items that may be labelled: scored, present, without a label of an LLM, posted since then; at most
    /// `limit` of each subreddit, the newest.
    pub async fn candidates(
        &self,
        run: i64,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Candidate>, StoreError> {
        let rows = self.client.query(CANDIDATES, &[&run, &since, &i64::from(limit)]).await;
        rows.map_err(StoreError::query(DOING))?.iter().map(candidate).collect()
    }

    /// Remembers a run's sample. May be repeated.
    pub async fn save_sample(&self, run: i64, items: &[SampledItem]) -> Result<(), StoreError> {
        let saved = self.client.execute(SAVE, &[&run, &Json(items)]).await;
        saved.map(|_new| ()).map_err(StoreError::query(DOING))
    }

    /// Sampled items that still wait for their labels and were refused fewer than `patience` times, in an
    /// order that has nothing to do with their content.
    pub async fn unlabelled(
        &self,
        run: i64,
        patience: u16,
        limit: u32,
    ) -> Result<Vec<UnlabelledItem>, StoreError> {
        let patience = i16::try_from(patience).unwrap_or(i16::MAX);
        let rows = self.client.query(UNLABELLED, &[&run, &patience, &i64::from(limit)]).await;
        rows.map_err(StoreError::query(DOING))?.iter().map(unlabelled).collect()
    }

    /// Counts one more refusal for each of these items.
    pub async fn count_refusals(&self, run: i64, items: &[Fullname]) -> Result<(), StoreError> {
        let names: Vec<&str> = items.iter().map(Fullname::as_str).collect();
        let sql = "update run_items set refusals = refusals + 1 where run_id = $1 and fullname = any($2)";
        let counted = self.client.execute(sql, &[&run, &names]).await;
        counted.map(|_rows| ()).map_err(StoreError::query("counting labels that were refused"))
    }
}

fn candidate(row: &Row) -> Result<Candidate, StoreError> {
    Ok(Candidate {
        fullname: named(row, "fullname")?,
        content_hash: hash(row)?,
        subreddit: named(row, "subreddit")?,
        text: ItemText::new(column(row, "title")?, column(row, "body")?),
        top_score: column(row, "top_score")?,
        review_threshold: column(row, "review_threshold")?,
        remove_threshold: column(row, "remove_threshold")?,
        drifted: column(row, "drifted")?,
        human: column(row, "human")?,
    })
}

fn unlabelled(row: &Row) -> Result<UnlabelledItem, StoreError> {
    Ok(UnlabelledItem {
        fullname: named(row, "fullname")?,
        content_hash: hash(row)?,
        subreddit: named(row, "subreddit")?,
        text: ItemText::new(column(row, "title")?, column(row, "body")?),
    })
}
