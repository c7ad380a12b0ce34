use chrono::{DateTime, Utc};
use modloop_domain::{Fullname, ItemKind, SubredditName};
use tokio_postgres::Row;

use super::fullname;
use crate::{Store, StoreError};

/// A place in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The item there.
    pub item: Fullname,
    /// When it was posted. Listings are sorted by this, and the item may be gone when its place is needed.
    pub created_at: DateTime<Utc>,
}

/// What a pass that stopped early left unread: everything after `cursor` down to the watermark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The last item that was read.
    pub cursor: Fullname,
    /// The first one. It becomes the watermark once the gap is closed.
    pub top: Mark,
}

/// How far one listing of a subreddit was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Feed {
    /// The newest item that was stored with everything before it; `None` until a pass went all the way.
    pub watermark: Option<Mark>,
    /// What is unread above the watermark.
    pub gap: Option<Gap>,
}

const FEED: &str = "
    select f.watermark, f.watermark_at, f.gap_cursor, f.gap_top, f.gap_top_at
    from feeds f join subreddits s on s.id = f.subreddit_id
    where s.name = $1 and f.kind = $2";

const SAVE_GAP: &str = "
    insert into feeds as f (subreddit_id, kind, gap_cursor, gap_top, gap_top_at)
    select id, $2, $3, $4, $5 from subreddits where name = $1
    on conflict (subreddit_id, kind) do update
    set gap_cursor = excluded.gap_cursor, gap_top = excluded.gap_top, gap_top_at = excluded.gap_top_at";

/// Where the newest items were taken away meanwhile, the watermark stays above what is left.
const ADVANCE: &str = "
    insert into feeds as f (subreddit_id, kind, watermark, watermark_at)
    select id, $2, $3, $4 from subreddits where name = $1
    on conflict (subreddit_id, kind) do update
    set watermark = case when f.watermark_at > excluded.watermark_at then f.watermark else excluded.watermark end,
        watermark_at = greatest(f.watermark_at, excluded.watermark_at),
        gap_cursor = null, gap_top = null, gap_top_at = null";

impl Store {
    /// What is to be fetched, the longest neglected first: where time runs out, all get their turn.
    pub async fn enabled_subreddits(&self) -> Result<Vec<SubredditName>, StoreError> {
        let error = StoreError::query("reading the enabled subreddits");
        let rows = self
            .client
            .query(
                "select name from subreddits where enabled
                 order by greatest(last_fetched_at, last_error_at) nulls first, name",
                &[],
            )
            .await
            .map_err(&error)?;
        let name = |row: &Row| {
            let name: &str = row.try_get("name").map_err(&error)?;
            name.parse().map_err(|e| StoreError::corrupt(format!("a subreddit whose name is refused: {e}")))
        };
        rows.iter().map(name).collect()
    }

    /// How far a listing was read.
    pub async fn feed(&self, subreddit: &SubredditName, kind: ItemKind) -> Result<Feed, StoreError> {
        let error = StoreError::query("reading how far a listing was read");
        let row = self.client.query_opt(FEED, &[&subreddit.as_str(), &kind.as_str()]).await.map_err(error)?;
        row.as_ref().map(feed).transpose().map(Option::unwrap_or_default)
    }

    /// Notes that everything from `gap.top` to `gap.cursor` is stored and what lies below is not.
    pub async fn save_gap(
        &self,
        subreddit: &SubredditName,
        kind: ItemKind,
        gap: &Gap,
    ) -> Result<(), StoreError> {
        let (cursor, top) = (gap.cursor.as_str(), gap.top.item.as_str());
        self.client
            .execute(SAVE_GAP, &[&subreddit.as_str(), &kind.as_str(), &cursor, &top, &gap.top.created_at])
            .await
            .map(|_rows| ())
            .map_err(StoreError::query("saving how far a listing was read"))
    }

    /// Notes that everything up to `mark` is stored; closes the gap. A watermark never moves back.
    pub async fn advance_watermark(
        &self,
        subreddit: &SubredditName,
        kind: ItemKind,
        mark: &Mark,
    ) -> Result<(), StoreError> {
        self.client
            .execute(ADVANCE, &[&subreddit.as_str(), &kind.as_str(), &mark.item.as_str(), &mark.created_at])
            .await
            .map(|_rows| ())
            .map_err(StoreError::query("advancing the watermark of a listing"))
    }

    /// Notes a pass over a subreddit that went well, and forgets an earlier error.
    pub async fn record_fetched(&self, subreddit: &SubredditName) -> Result<(), StoreError> {
        self.client
            .execute(
                "update subreddits set last_fetched_at = now(), last_error = null, last_error_at = null
                 where name = $1",
                &[&subreddit.as_str()],
            )
            .await
            .map(|_rows| ())
            .map_err(StoreError::query("noting that a subreddit was fetched"))
    }

    /// Notes why a subreddit could not be fetched, for people to see.
    pub async fn record_subreddit_error(
        &self,
        subreddit: &SubredditName,
        message: &str,
    ) -> Result<(), StoreError> {
        self.client
            .execute(
                "update subreddits set last_error = $2, last_error_at = now() where name = $1",
                &[&subreddit.as_str(), &message],
            )
            .await
            .map(|_rows| ())
            .map_err(StoreError::query("noting why a subreddit could not be fetched"))
    }
}

fn feed(row: &Row) -> Result<Feed, StoreError> {
    let watermark = mark(row, "watermark", "watermark_at")?;
    let top = mark(row, "gap_top", "gap_top_at")?;
    let error = StoreError::query("reading how far a listing was read");
    let cursor: Option<&str> = row.try_get("gap_cursor").map_err(error)?;
    // The table lets these three be null only together.
    let gap = match (cursor, top) {
        (Some(cursor), Some(top)) => Some(Gap { cursor: fullname(cursor)?, top }),
        _ => None,
    };
    Ok(Feed { watermark, gap })
}

fn mark(row: &Row, item: &str, created_at: &str) -> Result<Option<Mark>, StoreError> {
    let error = StoreError::query("reading how far a listing was read");
    let item: Option<&str> = row.try_get(item).map_err(&error)?;
    let created_at = row.try_get(created_at).map_err(&error)?;
    match (item, created_at) {
        (Some(item), Some(created_at)) => Ok(Some(Mark { item: fullname(item)?, created_at })),
        _ => Ok(None),
    }
}
