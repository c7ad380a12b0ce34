//! Items and their texts: storing what a source shows, looking items up again, taking texts away.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use modloop_domain::{ContentHash, Item, ItemId, ItemState, SourceName, text::storable};
use serde::Serialize;
use tokio_postgres::Row as PgRow;
use tokio_postgres::types::{Json, Type};

use crate::row::{as_bytea, column, count, parsed};
use crate::{Store, StoreError};

/// What became of items that a source showed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// Seen for the first time.
    pub new: Vec<ItemId>,
    /// Known with another text.
    pub edited: Vec<ItemId>,
    /// Was removed or absent, and the source shows it again.
    pub restored: Vec<ItemId>,
    /// Known with this very text, or with a newer one.
    pub unchanged: u64,
}

impl Stored {
    /// Everything that now waits for scores.
    pub fn to_score(&self) -> Vec<ItemId> {
        [&self.new, &self.edited, &self.restored].into_iter().flatten().cloned().collect()
    }
}

/// What was forgotten with an author's name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Forgotten {
    /// The items whose texts are gone.
    pub items: BTreeSet<ItemId>,
    /// The runs whose data sets held some of them.
    pub runs: BTreeSet<i64>,
}

/// The columns of `items` and `item_texts`.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a ItemId,
    source: &'a str,
    community: &'a str,
    kind: &'a str,
    author: Option<String>,
    title: Option<&'a str>,
    body: &'a str,
    #[serde(serialize_with = "as_bytea")]
    content_hash: ContentHash,
    parent: Option<&'a ItemId>,
    thread: Option<&'a ItemId>,
    permalink: String,
    link: Option<String>,
    domain: Option<String>,
    flair: Option<String>,
    is_submitter: bool,
    created_at: DateTime<Utc>,
    edited_at: Option<DateTime<Utc>>,
    observed_at: Option<DateTime<Utc>>,
}

/// Postgres clients log their parameters; texts stay out of that.
impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

/// Changed items are written whole and wait for scores again; of unchanged ones only the check is moved. What
/// its author deleted stays gone, and so does what is forgotten: a listing that still shows it is out of
/// date. A snapshot that is older than the stored one changes nothing.
pub(crate) const STORE: &str = "
    with shown as (
        select distinct on (s.id) s.id, c.id as community_id, s.kind, s.author, s.title, s.body,
            s.content_hash, s.parent, s.thread, s.permalink, s.link, s.domain, s.flair, s.is_submitter,
            s.created_at, s.edited_at, coalesce(s.observed_at, now()) as observed_at
        from jsonb_to_recordset($1) as s(
                id text, source text, community text, kind text, author text, title text, body text,
                content_hash bytea, parent text, thread text, permalink text, link text, domain text,
                flair text, is_submitter boolean, created_at timestamptz, edited_at timestamptz,
                observed_at timestamptz)
            join communities c on c.source = s.source and c.name = s.community
        order by s.id, s.observed_at desc nulls first
    ), known as (
        select i.id, i.content_hash, i.state, i.observed_at from items i join shown using (id)
    ), written as (
        insert into items as i (id, community_id, kind, created_at, observed_at, content_hash, pending_since)
        select s.id, s.community_id, s.kind, s.created_at, s.observed_at, s.content_hash, now()
        from shown s left join known k using (id)
        where k.id is null or k.content_hash is distinct from s.content_hash or k.state <> 'present'
        order by s.id
        on conflict (id) do update
        set content_hash = excluded.content_hash, observed_at = excluded.observed_at, state = 'present',
            state_at = case when i.state = 'present' then i.state_at else now() end,
            pending_since = now(), queued_at = null, queue_attempts = 0
        where i.state not in ('deleted', 'forgotten') and i.observed_at <= excluded.observed_at
            and (i.content_hash is distinct from excluded.content_hash or i.state <> 'present')
        returning i.id, i.part, i.community_id
    ), texts as (
        insert into item_texts (part, item_id, author, title, body, parent, thread, permalink, link, domain,
            flair, is_submitter, edited_at)
        select w.part, w.id, s.author, s.title, s.body, s.parent, s.thread, s.permalink, s.link, s.domain,
            s.flair, s.is_submitter, s.edited_at
        from written w join shown s using (id)
        on conflict (part, item_id) do update
        set author = excluded.author, title = excluded.title, body = excluded.body, parent = excluded.parent,
            thread = excluded.thread, permalink = excluded.permalink, link = excluded.link,
            domain = excluded.domain, flair = excluded.flair, is_submitter = excluded.is_submitter,
            edited_at = excluded.edited_at
    ), renamed as (
        -- The account may be gone although the text is the same.
        update item_texts t set author = s.author
        from shown s join items i on i.id = s.id
        where t.part = i.part and t.item_id = i.id and t.author is distinct from s.author
            and i.observed_at <= s.observed_at and s.id not in (select id from written)
    ), checked as (
        insert into checks as c (item_id, due_at) select id, now() from shown
        where id in (select id from written) or id in (select id from known)
        on conflict (item_id) do update set due_at = excluded.due_at
    ), outcomes as (
        select w.id, w.community_id,
            case when k.id is null then 'new' when k.state = 'present' then 'edited' else 'restored' end as outcome
        from written w left join known k using (id)
    ), counted as (
        insert into count_deltas (community_id, stored, restored)
        select community_id, count(*) filter (where outcome = 'new'), count(*) filter (where outcome = 'restored')
        from outcomes where outcome <> 'edited' group by community_id
    )
    select id, outcome, 0::bigint as unchanged from outcomes
    union all
    select null, 'unchanged', count(*) from shown where id not in (select id from written)
    order by id";

/// The text goes with everything that may quote it. Final states stay.
pub(crate) const SCRUB: &str = "
    with gone as (
        update items i
        set content_hash = null, pending_since = null, queued_at = null, queue_attempts = 0,
            state = $2, state_at = now()
        where i.id = any($1) and i.state not in ('deleted', 'forgotten') and i.state <> $2
        returning i.id, i.part, i.community_id
    ), had as (
        delete from item_texts t using gone g where t.part = g.part and t.item_id = g.id returning g.community_id
    ), closed as (
        delete from queue q using gone g where q.item_id = g.id
    ), quoted as (
        delete from rationales r using gone g where r.item_id = g.id
    ), unchecked as (
        delete from checks c using gone g where c.item_id = g.id
    ), counted as (
        insert into count_deltas (community_id, scrubbed)
        select community_id, count(*) from had group by community_id
    )
    select count(*) as gone from gone";

pub(crate) const DUE_FOR_CHECK: &str = "
    select c.item_id as id
    from checks c join items i on i.id = c.item_id join communities m on m.id = i.community_id
    where c.due_at < $2 and m.source = $3 order by c.due_at limit $1";

const BY_AUTHOR: &str = "
    select t.item_id as id, coalesce(array_agg(d.run_id) filter (where d.run_id is not null), '{}') as runs
    from item_texts t left join data_set_items d on d.item_id = t.item_id
    where lower(t.author) = lower($1)
    group by t.item_id";

const FORGET: &str = "
    with named as (
        insert into forgotten (name_key) values ($1) on conflict do nothing
    )
    insert into audit (actor, action, subject, after)
    values ($2, 'author.forget', $3, jsonb_build_object('items', $4::bigint))";

impl Store {
    /// Stores items as their source shows them now: new ones, new texts of edited ones, and those that came
    /// back. All of them wait for scores from then on. Items of communities that are not in the database are
    /// left out. May be repeated.
    pub async fn store_items(&self, items: &[Item]) -> Result<Stored, StoreError> {
        let mut stored = Stored::default();
        if items.is_empty() {
            return Ok(stored);
        }
        let key = self.hash_key().await?;
        let rows: Vec<_> = items.iter().map(|item| row(item, item.text.content_hash(key))).collect();
        for row in self.rows("storing items", STORE, &[(&Json(&rows), Type::JSONB)]).await? {
            let outcomes = match column(&row, "outcome")? {
                "new" => &mut stored.new,
                "edited" => &mut stored.edited,
                "restored" => &mut stored.restored,
                _ => {
                    stored.unchanged = count(&row, "unchanged")?;
                    continue;
                }
            };
            outcomes.push(parsed(&row, "id")?);
        }
        Ok(stored)
    }

    /// The database's clock, by which checks are dated.
    pub async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        column(&self.row("reading the clock", "select now() as now", &[]).await?, "now")
    }

    /// Items whose check was due before that moment, the longest due first.
    pub async fn due_for_check(
        &self,
        source: &SourceName,
        limit: u32,
        before: DateTime<Utc>,
    ) -> Result<Vec<ItemId>, StoreError> {
        let parameters = [
            (&i64::from(limit) as _, Type::INT8),
            (&before as _, Type::TIMESTAMPTZ),
            (&source.as_str() as _, Type::TEXT),
        ];
        ids(&self.rows("looking for items to check", DUE_FOR_CHECK, &parameters).await?)
    }

    /// Notes that a source was asked about items, where the answer changed nothing.
    pub async fn mark_checked(&self, items: &[ItemId]) -> Result<(), StoreError> {
        let sql = "update checks set due_at = now() where item_id = any($1)";
        let parameters = [(&as_text(items) as _, Type::TEXT_ARRAY)];
        self.change("noting what was checked", sql, &parameters).await.map(drop)
    }

    /// Takes texts and authors away; predictions and decisions stay, as numbers about nobody. Returns how
    /// many items changed their state. Items in a final state keep it. May be repeated.
    pub async fn scrub(&self, items: &[ItemId], state: ItemState) -> Result<u64, StoreError> {
        let parameters = [(&as_text(items) as _, Type::TEXT_ARRAY), (&state.as_str() as _, Type::TEXT)];
        count(&self.row("taking texts away", SCRUB, &parameters).await?, "gone")
    }

    /// Takes away everything that an author wrote, and remembers the name as a keyed hash. May be repeated.
    pub async fn forget_author(
        &self,
        actor: &modloop_domain::Actor,
        author: &str,
    ) -> Result<Forgotten, StoreError> {
        let rows = self.rows("looking for what an author wrote", BY_AUTHOR, &[(&author, Type::TEXT)]).await?;
        let mut found = Forgotten::default();
        for row in &rows {
            found.items.insert(parsed(row, "id")?);
            found.runs.extend(column::<Vec<i64>>(row, "runs")?);
        }
        let items: Vec<ItemId> = found.items.iter().cloned().collect();
        self.scrub(&items, ItemState::Forgotten).await?;
        let name = self.hash_key().await?.name(author);
        let (subject, number) = (format!("author:{name}"), items.len() as i64);
        let parameters = [
            (&name.as_bytes() as _, Type::BYTEA),
            (&actor.as_str() as _, Type::TEXT),
            (&subject as _, Type::TEXT),
            (&number as _, Type::INT8),
        ];
        self.change("noting that an author is forgotten", FORGET, &parameters).await?;
        Ok(found)
    }
}

/// The ids in the column `id`.
pub(crate) fn ids(rows: &[PgRow]) -> Result<Vec<ItemId>, StoreError> {
    rows.iter().map(|row| parsed(row, "id")).collect()
}

pub(crate) fn as_text(items: &[ItemId]) -> Vec<&str> {
    items.iter().map(ItemId::as_str).collect()
}

fn row(item: &Item, content_hash: ContentHash) -> Row<'_> {
    let clean = |text: &str| storable(text).into_owned();
    let context = &item.context;
    Row {
        id: &item.id,
        source: item.community.source().as_str(),
        community: item.community.name().as_str(),
        kind: item.kind.as_str(),
        author: context.author.as_deref().map(clean),
        title: item.text.title(),
        body: item.text.body(),
        content_hash,
        parent: context.parent.as_ref(),
        thread: context.thread.as_ref(),
        permalink: clean(&context.permalink),
        link: context.link.as_deref().map(clean),
        domain: context.domain.as_deref().map(clean),
        flair: context.flair.as_deref().map(clean),
        is_submitter: context.is_submitter,
        created_at: item.created_at,
        edited_at: item.edited_at,
        observed_at: item.observed_at,
    }
}
