use std::fmt;

use chrono::{DateTime, Utc};
use modloop_domain::{Fullname, Item, text::storable};
use serde::Serialize;
use tokio_postgres::types::Json;

use super::fullname;
use crate::{Store, StoreError};

/// What became of items that Reddit showed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// Seen for the first time.
    pub new: Vec<Fullname>,
    /// Known with another text.
    pub edited: Vec<Fullname>,
    /// Scrubbed because they were removed or absent, and shown by Reddit again.
    pub restored: Vec<Fullname>,
    /// Known with this very text.
    pub unchanged: u64,
}

impl Stored {
    /// Everything that now waits for scores.
    pub fn to_score(&self) -> Vec<Fullname> {
        [&self.new, &self.edited, &self.restored].into_iter().flatten().cloned().collect()
    }
}

/// The column names of `items`.
#[derive(Serialize)]
struct Row<'a> {
    fullname: &'a Fullname,
    subreddit: &'a str,
    author: Option<String>,
    title: Option<&'a str>,
    body: &'a str,
    /// As Postgres reads `bytea` from text.
    content_hash: String,
    permalink: String,
    created_at: DateTime<Utc>,
    edited_at: Option<DateTime<Utc>>,
}

/// Changed items are written whole and wait for scores again; of unchanged ones only the small columns
/// are touched. What its author deleted stays gone: a listing that still shows it is out of date.
pub(crate) const STORE: &str = "
    with seen as (
        select distinct on (s.fullname) s.*
        from jsonb_to_recordset($1) as s(
            fullname text, subreddit text, author text, title text, body text, content_hash bytea,
            permalink text, created_at timestamptz, edited_at timestamptz)
        order by s.fullname
    ), known as (
        select i.fullname, i.content_hash, i.scrub_reason from items i join seen using (fullname)
    ), written as (
        insert into items as i (fullname, subreddit_id, author, title, body, content_hash, permalink,
            created_at, edited_at)
        select s.fullname, r.id, s.author, s.title, s.body, s.content_hash, s.permalink,
            s.created_at, s.edited_at
        from seen s join subreddits r on r.name = s.subreddit left join known k using (fullname)
        where k.content_hash is distinct from s.content_hash
        order by s.fullname
        on conflict (fullname) do update
        set author = excluded.author, title = excluded.title, body = excluded.body,
            content_hash = excluded.content_hash, edited_at = excluded.edited_at, checked_at = now(),
            pending_since = now(), queued_at = null, queue_attempts = 0,
            scrub_reason = null, scrubbed_at = null
        where i.scrub_reason is distinct from 'deleted'
        returning i.fullname
    ), checked as (
        update items i set checked_at = now(), author = s.author, edited_at = s.edited_at
        from seen s
        where i.fullname = s.fullname and i.content_hash = s.content_hash
        returning 1
    )
    select w.fullname,
        case when k.fullname is null then 'new' when k.scrub_reason is null then 'edited' else 'restored' end
            as outcome,
        0::bigint as unchanged
    from written w left join known k using (fullname)
    union all
    select null, 'unchanged', count(*) from checked
    order by fullname";

/// Postgres clients log their parameters; texts stay out of that.
impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fullname)
    }
}

const DOING: &str = "storing items";

impl Store {
    /// Stores items as Reddit shows them now: new ones, new texts of edited ones, and those that came
    /// back. All of them wait for scores from then on. Items of subreddits that are not in the database
    /// are left out.
    pub async fn store_items(&self, items: &[Item]) -> Result<Stored, StoreError> {
        let error = StoreError::query(DOING);
        let rows: Vec<_> = items.iter().map(row).collect();
        let mut stored = Stored::default();
        for row in self.client.query(STORE, &[&Json(&rows)]).await.map_err(&error)? {
            let Some(name) = row.try_get("fullname").map_err(&error)? else {
                stored.unchanged = row.try_get::<_, i64>("unchanged").map_err(&error)?.unsigned_abs();
                continue;
            };
            let outcomes = match row.try_get("outcome").map_err(&error)? {
                "new" => &mut stored.new,
                "edited" => &mut stored.edited,
                _ => &mut stored.restored,
            };
            outcomes.push(fullname(name)?);
        }
        Ok(stored)
    }
}

fn row(item: &Item) -> Row<'_> {
    Row {
        fullname: &item.fullname,
        subreddit: item.subreddit.as_str(),
        author: item.author.as_deref().map(|name| storable(name).into_owned()),
        title: item.text.title(),
        body: item.text.body(),
        content_hash: format!("\\x{}", hex::encode(item.text.content_hash().as_bytes())),
        permalink: storable(&item.permalink).into_owned(),
        created_at: item.created_at,
        edited_at: item.edited_at,
    }
}
