//! Communities, their thresholds, and how far each listing of theirs was read.

use chrono::{DateTime, Utc};
use modloop_domain::{Actor, Community, CommunityName, CommunityThresholds, ItemId, ItemKind, SourceName};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::row::{column, document, parsed, parsed_or_none};
use crate::{Store, StoreError};

/// A community as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CommunityRow {
    /// Names it in other tables.
    #[serde(skip)]
    pub id: i32,
    /// Source and name.
    pub community: Community,
    /// Whether it is fetched.
    pub enabled: bool,
    /// Names its thresholds and calibration for good: a decision refers to it.
    pub policy_id: i32,
    /// From which scores on an item is reviewed or removed.
    pub thresholds: CommunityThresholds,
    /// Why the last pass failed.
    pub last_error: Option<String>,
    /// The last pass that succeeded.
    pub last_fetched_at: Option<DateTime<Utc>>,
}

/// A place in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The item there.
    pub item: ItemId,
    /// When it was posted. Listings are sorted by this, and the item may be gone when its place is needed.
    pub created_at: DateTime<Utc>,
}

/// What a pass that stopped early left unread: everything after `cursor` down to the watermark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The last item that was read.
    pub cursor: ItemId,
    /// The first one. It becomes the watermark once the gap is closed.
    pub top: Mark,
}

/// How far one listing of a community was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Feed {
    /// The newest item that was stored with everything before it; `None` until a pass reached the end.
    pub watermark: Option<Mark>,
    /// What is unread above the watermark.
    pub gap: Option<Gap>,
}

/// What became of a change of a community.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is changed, and the audit log says so.
    Yes,
    /// It was so already. Nothing is written.
    Already,
    /// There is no such community.
    Unknown,
}

const COMMUNITIES: &str = "
    select c.id, c.source, c.name, c.enabled, c.policy_id, p.thresholds, c.last_error, c.last_fetched_at
    from communities c join policies p on p.id = c.policy_id
    order by c.source, c.name";

const ADD: &str = "
    with added as (
        insert into communities (source, name) values ($1, $2) on conflict do nothing returning 1
    )
    insert into audit (actor, action, subject, after)
    select $3, 'community.add', $4, '{\"enabled\": true}' from added";

const ENABLE: &str = "
    with known as (
        select id, enabled from communities where source = $1 and name = $2 for update
    ), changed as (
        update communities c set enabled = $3 from known k where c.id = k.id and k.enabled <> $3 returning 1
    ), noted as (
        insert into audit (actor, action, subject, before, after)
        select $4, 'community.' || case when $3 then 'enable' else 'disable' end, $5,
            jsonb_build_object('enabled', not $3), jsonb_build_object('enabled', $3)
        from changed
    )
    select (select count(*) from known) as known, (select count(*) from changed) as changed";

/// Policies are shared: the same thresholds are one row.
const POLICY: &str = "insert into policies (thresholds) values ($1) on conflict do nothing";

const SET_THRESHOLDS: &str = "
    with wanted as (
        select id from policies where thresholds = $3 and calibration = '{}'
    ), known as (
        select c.id, p.thresholds, c.policy_id from communities c join policies p on p.id = c.policy_id
        where c.source = $1 and c.name = $2 for update of c
    ), changed as (
        update communities c set policy_id = w.id from known k, wanted w
        where c.id = k.id and k.policy_id <> w.id returning k.thresholds as before
    ), noted as (
        insert into audit (actor, action, subject, before, after)
        select $4, 'community.set', $5, before, $3 from changed
    )
    select (select count(*) from known) as known, (select count(*) from changed) as changed";

const ENABLED: &str = "
    select source, name from communities where enabled and source = $1
    order by greatest(last_fetched_at, last_error_at) nulls first, name";

const FEED: &str = "
    select f.watermark, f.watermark_at, f.gap_cursor, f.gap_top, f.gap_top_at
    from feeds f join communities c on c.id = f.community_id
    where c.source = $1 and c.name = $2 and f.kind = $3";

const SAVE_GAP: &str = "
    insert into feeds as f (community_id, kind, gap_cursor, gap_top, gap_top_at)
    select id, $3, $4, $5, $6 from communities where source = $1 and name = $2
    on conflict (community_id, kind) do update
    set gap_cursor = excluded.gap_cursor, gap_top = excluded.gap_top, gap_top_at = excluded.gap_top_at";

/// Where the newest items were taken away meanwhile, the watermark stays above what is left.
const ADVANCE: &str = "
    insert into feeds as f (community_id, kind, watermark, watermark_at)
    select id, $3, $4, $5 from communities where source = $1 and name = $2
    on conflict (community_id, kind) do update
    set watermark = case when f.watermark_at > excluded.watermark_at then f.watermark else excluded.watermark end,
        watermark_at = greatest(f.watermark_at, excluded.watermark_at),
        gap_cursor = null, gap_top = null, gap_top_at = null";

/// $3 why it failed; null: it went well.
const PASS: &str = "
    update communities
    set last_fetched_at = case when $3::text is null then now() else last_fetched_at end,
        last_error = $3, last_error_at = case when $3::text is not null then now() end
    where source = $1 and name = $2";

const CHANGING: &str = "changing a community";
const LISTING: &str = "reading how far a listing was read";

impl Store {
    /// All communities, by name.
    pub async fn communities(&self) -> Result<Vec<CommunityRow>, StoreError> {
        self.rows("reading the communities", COMMUNITIES, &[]).await?.iter().map(community_row).collect()
    }

    /// Watches a community from now on, with the default thresholds. `false`: it is there already, and stays
    /// as it is.
    pub async fn add_community(&self, actor: &Actor, community: &Community) -> Result<bool, StoreError> {
        let (source, name) = key(community);
        let parameters = [
            (&source as _, Type::TEXT),
            (&name as _, Type::TEXT),
            (&actor.as_str() as _, Type::TEXT),
            (&community.to_string() as _, Type::TEXT),
        ];
        Ok(self.change("adding a community", ADD, &parameters).await? > 0)
    }

    /// Starts or stops fetching a community.
    pub async fn enable_community(
        &self,
        actor: &Actor,
        community: &Community,
        enabled: bool,
    ) -> Result<Changed, StoreError> {
        let (source, name) = key(community);
        let parameters = [
            (&source as _, Type::TEXT),
            (&name as _, Type::TEXT),
            (&enabled as _, Type::BOOL),
            (&actor.as_str() as _, Type::TEXT),
            (&community.to_string() as _, Type::TEXT),
        ];
        changed(&self.row(CHANGING, ENABLE, &parameters).await?)
    }

    /// Gives a community other thresholds, from its next batch on.
    pub async fn set_thresholds(
        &self,
        actor: &Actor,
        community: &Community,
        thresholds: &CommunityThresholds,
    ) -> Result<Changed, StoreError> {
        let document = decimals(thresholds)?;
        self.change(CHANGING, POLICY, &[(&document, Type::JSONB)]).await?;
        let (source, name) = key(community);
        let parameters = [
            (&source as _, Type::TEXT),
            (&name as _, Type::TEXT),
            (&document as _, Type::JSONB),
            (&actor.as_str() as _, Type::TEXT),
            (&community.to_string() as _, Type::TEXT),
        ];
        changed(&self.row(CHANGING, SET_THRESHOLDS, &parameters).await?)
    }

    /// What is to be fetched from a source, the longest neglected first, so that all get their turn where
    /// time runs out.
    pub async fn enabled_communities(&self, source: &SourceName) -> Result<Vec<Community>, StoreError> {
        let parameters = [(&source.as_str() as _, Type::TEXT)];
        let rows = self.rows("reading the enabled communities", ENABLED, &parameters).await?;
        rows.iter().map(community).collect()
    }

    /// How far a listing was read.
    pub async fn feed(&self, community: &Community, kind: ItemKind) -> Result<Feed, StoreError> {
        let (source, name) = key(community);
        let parameters =
            [(&source as _, Type::TEXT), (&name as _, Type::TEXT), (&kind.as_str() as _, Type::TEXT)];
        let row = self.row_or_none(LISTING, FEED, &parameters).await?;
        row.as_ref().map(feed).transpose().map(Option::unwrap_or_default)
    }

    /// Notes that everything from `gap.top` to `gap.cursor` is stored and what lies below is not.
    pub async fn save_gap(&self, community: &Community, kind: ItemKind, gap: &Gap) -> Result<(), StoreError> {
        let (source, name) = key(community);
        let parameters = [
            (&source as _, Type::TEXT),
            (&name as _, Type::TEXT),
            (&kind.as_str() as _, Type::TEXT),
            (&gap.cursor.as_str() as _, Type::TEXT),
            (&gap.top.item.as_str() as _, Type::TEXT),
            (&gap.top.created_at as _, Type::TIMESTAMPTZ),
        ];
        self.change("saving how far a listing was read", SAVE_GAP, &parameters).await.map(drop)
    }

    /// Notes that everything up to `mark` is stored; closes the gap. A watermark never moves back.
    pub async fn advance_watermark(
        &self,
        community: &Community,
        kind: ItemKind,
        mark: &Mark,
    ) -> Result<(), StoreError> {
        let (source, name) = key(community);
        let parameters = [
            (&source as _, Type::TEXT),
            (&name as _, Type::TEXT),
            (&kind.as_str() as _, Type::TEXT),
            (&mark.item.as_str() as _, Type::TEXT),
            (&mark.created_at as _, Type::TIMESTAMPTZ),
        ];
        self.change("advancing the watermark of a listing", ADVANCE, &parameters).await.map(drop)
    }

    /// Notes a pass over a community that succeeded (`error` is `None`), or why it failed.
    pub async fn record_pass(&self, community: &Community, error: Option<&str>) -> Result<(), StoreError> {
        let (source, name) = key(community);
        let parameters = [(&source as _, Type::TEXT), (&name as _, Type::TEXT), (&error as _, Type::TEXT)];
        self.change("noting how a pass over a community went", PASS, &parameters).await.map(drop)
    }
}

/// With the decimals that a person wrote: as a `Value` a number of 32 bits would show all digits of 64.
fn decimals(thresholds: &CommunityThresholds) -> Result<Value, StoreError> {
    let text = serde_json::to_string(thresholds);
    text.and_then(|text| serde_json::from_str(&text)).map_err(|e| StoreError::corrupt(e.to_string()))
}

fn key(community: &Community) -> (&str, &str) {
    (community.source().as_str(), community.name().as_str())
}

fn changed(row: &Row) -> Result<Changed, StoreError> {
    let (known, changed): (i64, i64) = (column(row, "known")?, column(row, "changed")?);
    Ok(match (known, changed) {
        (0, _) => Changed::Unknown,
        (_, 0) => Changed::Already,
        _ => Changed::Yes,
    })
}

/// From the columns `source` and `name`.
pub(crate) fn community(row: &Row) -> Result<Community, StoreError> {
    let (source, name): (SourceName, CommunityName) = (parsed(row, "source")?, parsed(row, "name")?);
    Community::new(source, name)
        .map_err(|e| StoreError::corrupt(format!("a community whose name is refused: {e}")))
}

fn community_row(row: &Row) -> Result<CommunityRow, StoreError> {
    Ok(CommunityRow {
        id: column(row, "id")?,
        community: community(row)?,
        enabled: column(row, "enabled")?,
        policy_id: column(row, "policy_id")?,
        thresholds: document(row, "thresholds")?,
        last_error: column(row, "last_error")?,
        last_fetched_at: column(row, "last_fetched_at")?,
    })
}

fn feed(row: &Row) -> Result<Feed, StoreError> {
    let watermark = mark(row, "watermark", "watermark_at")?;
    let top = mark(row, "gap_top", "gap_top_at")?;
    let cursor: Option<ItemId> = parsed_or_none(row, "gap_cursor")?;
    // The table lets these three be null only together.
    Ok(Feed { watermark, gap: cursor.zip(top).map(|(cursor, top)| Gap { cursor, top }) })
}

fn mark(row: &Row, item: &str, created_at: &str) -> Result<Option<Mark>, StoreError> {
    let (item, created_at) = (parsed_or_none(row, item)?, column(row, created_at)?);
    Ok(Option::zip(item, created_at).map(|(item, created_at)| Mark { item, created_at }))
}
