//! What waits: items for their scores, and flagged items for people.

use std::time::Duration;

use chrono::{DateTime, Utc};
use modloop_domain::{Community, Decision, ItemId, Label, ModelVersion, Probability};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::communities::community;
use crate::items::{as_text, ids};
use crate::row::{column, parse, parsed, parsed_list, parsed_or_none};
use crate::{Store, StoreError};

/// An item that was queued this often without a score is stuck: it is queued again once a day only.
pub const STUCK_AFTER: i32 = 5;

/// A flagged item that nobody has judged yet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlaggedItem {
    /// Names it.
    pub item: ItemId,
    /// Where it was posted.
    pub community: Community,
    /// `review` or `remove`.
    pub decision: Decision,
    /// The labels that reached a threshold.
    pub labels: Vec<Label>,
    /// By label, of the model that decided.
    pub scores: Vec<(Label, Probability)>,
    /// The model that decided.
    pub model: Option<ModelVersion>,
    /// Expected harm; higher comes first.
    pub priority: f32,
    /// When it was posted.
    pub created_at: DateTime<Utc>,
    /// Address of the item at its source.
    pub permalink: String,
}

/// Where a page of flagged items goes on: after this item.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// Its priority.
    pub priority: f32,
    /// Its id.
    pub item: ItemId,
}

/// The wait doubles with every attempt, since what failed once often fails again.
pub(crate) const DUE_AGAIN: &str = "
    select id from items
    where pending_since is not null and (queued_at is null or queued_at <= now() - case
        when queue_attempts >= $3 then interval '1 day'
        else make_interval(secs => $2 * power(2, greatest(queue_attempts, 1) - 1)) end)
    order by queued_at nulls first, pending_since
    limit $1";

/// Marked again within a minute, an item counts once: the statement may be repeated.
const MARK_QUEUED: &str = "
    update items set queued_at = now(), queue_attempts = queue_attempts + 1
    where id = any($1) and pending_since is not null
        and (queued_at is null or queued_at < now() - interval '10 seconds')";

pub(crate) const OLDEST_UNSCORED: &str = "
    select extract(epoch from now() - min(pending_since))::float8 as seconds
    from items where pending_since is not null";

/// The page is cut before texts and decisions are looked up.
pub(crate) const FLAGGED: &str = "
    with page as (
        select q.* from queue q
        where ($1::integer is null or q.community_id = $1)
            and ($2::real is null or q.priority < $2 or (q.priority = $2 and q.item_id > $3))
        order by q.priority desc, q.item_id
        limit $4
    )
    select q.item_id as id, c.source, c.name, q.outcome, q.labels, q.priority, q.created_at,
        coalesce(t.permalink, '') as permalink, m.version as model, m.labels as model_labels, p.scores
    from page q join communities c on c.id = q.community_id
        join items i on i.id = q.item_id
        left join item_texts t on t.part = q.part and t.item_id = q.item_id
        left join models m on m.id = q.model_id
        left join predictions p on p.part = q.part and p.item_id = q.item_id
            and p.content_hash = i.content_hash and p.model_id = q.model_id
    order by q.priority desc, q.item_id";

impl Store {
    /// Notes that items were put into the scoring queue. May be repeated at once.
    pub async fn mark_queued(&self, items: &[ItemId]) -> Result<(), StoreError> {
        let parameters = [(&as_text(items) as _, Type::TEXT_ARRAY)];
        self.change("noting what was queued", MARK_QUEUED, &parameters).await.map(drop)
    }

    /// Items that wait for scores and are not in the queue, or were put there and came to nothing: never
    /// queued first, then the longest waiting. `wait` is how long one message may take to be scored; it
    /// doubles with each attempt, up to [`STUCK_AFTER`].
    pub async fn due_again(&self, limit: u32, wait: Duration) -> Result<Vec<ItemId>, StoreError> {
        let parameters = [
            (&i64::from(limit) as _, Type::INT8),
            (&wait.as_secs_f64() as _, Type::FLOAT8),
            (&STUCK_AFTER as _, Type::INT4),
        ];
        ids(&self.rows("looking for items to queue again", DUE_AGAIN, &parameters).await?)
    }

    /// How long the oldest item has been waiting for its scores; `None` when none waits.
    pub async fn oldest_unscored(&self) -> Result<Option<Duration>, StoreError> {
        let row = self.row("looking for the oldest unscored item", OLDEST_UNSCORED, &[]).await?;
        let age: Option<f64> = column(&row, "seconds")?;
        // Clocks that were set back must not fail a batch.
        Ok(age.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
    }

    /// A page of flagged items, the most harmful first. `community` is the number of a
    /// [`crate::communities::CommunityRow`]; without it all communities are shown.
    pub async fn flagged(
        &self,
        community: Option<i32>,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Vec<FlaggedItem>, StoreError> {
        let (priority, item) = (after.map(|a| a.priority), after.map(|a| a.item.as_str()));
        let parameters = [
            (&community as _, Type::INT4),
            (&priority as _, Type::FLOAT4),
            (&item as _, Type::TEXT),
            (&i64::from(limit) as _, Type::INT8),
        ];
        self.rows("reading the queue", FLAGGED, &parameters).await?.iter().map(flagged).collect()
    }
}

fn flagged(row: &Row) -> Result<FlaggedItem, StoreError> {
    let labels: Option<Vec<&str>> = column(row, "model_labels")?;
    let scores: Option<Vec<f32>> = column(row, "scores")?;
    let scored = labels.unwrap_or_default().into_iter().zip(scores.unwrap_or_default());
    let score = |(label, score): (&str, f32)| {
        let score = Probability::new(score).map_err(|e| StoreError::corrupt(e.to_string()))?;
        Ok((parse(label, "label")?, score))
    };
    Ok(FlaggedItem {
        item: parsed(row, "id")?,
        community: community(row)?,
        decision: parsed(row, "outcome")?,
        labels: parsed_list(row, "labels")?,
        scores: scored.map(score).collect::<Result<_, StoreError>>()?,
        model: parsed_or_none(row, "model")?,
        priority: column(row, "priority")?,
        created_at: column(row, "created_at")?,
        permalink: column(row, "permalink")?,
    })
}
