//! What people are shown: counts for each community, the model in service, the last drift verdicts.

use chrono::{DateTime, Utc};
use modloop_domain::{Community, DriftVerdict, ModelVersion};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::communities::community;
use crate::models::{ChallengerMode, Serving};
use crate::queue::STUCK_AFTER;
use crate::row::{column, count, parsed};
use crate::{Store, StoreError};

/// The system at one moment, as `up` and `modloop status` show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// By name.
    pub communities: Vec<CommunityStatus>,
    /// `None` until inference has started once.
    pub model: Option<ModelInService>,
    /// The model on trial, where there is one.
    pub challenger: Option<ModelInService>,
    /// The last report on each community, newest first.
    pub drift: Vec<LastReport>,
}

/// Counts of items of one community.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CommunityStatus {
    /// Source and name.
    pub name: Community,
    /// Whether it is fetched.
    pub enabled: bool,
    /// Items ever stored.
    pub fetched: u64,
    /// Stored and not scored yet.
    pub waiting: u64,
    /// Scored, and not deleted since.
    pub scored: u64,
    /// Deleted or removed at the source, and therefore here.
    pub deleted: u64,
    /// Flagged items that nobody has judged yet.
    pub flagged: u64,
    /// Waiting although queued five times or more: look into the dead-letter queue.
    pub stuck: u64,
    /// The last pass that succeeded.
    pub last_fetched_at: Option<DateTime<Utc>>,
    /// Why the last pass failed.
    pub last_error: Option<String>,
}

/// A model and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelInService {
    /// Which one.
    pub version: ModelVersion,
    /// What it may do.
    pub mode: ModelMode,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// What a model may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelMode {
    /// Decides because no alias says otherwise: it ships inside the function.
    Shipped,
    /// Decides.
    Champion,
    /// Scores beside the champion.
    Shadow,
    /// Decides for a share of the items.
    Canary,
}

/// A drift report in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastReport {
    /// Whose items were compared.
    pub community: Community,
    /// In one word.
    pub verdict: DriftVerdict,
    /// Which statistic moved and by how much.
    pub summary: String,
    /// End of the window that was compared.
    pub window_end: DateTime<Utc>,
}

/// Counts over the whole database: what proves that nothing was lost or counted twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Items ever stored.
    pub stored: u64,
    /// Items whose text is gone at the source, and here.
    pub scrubbed: u64,
    /// Items not scored yet.
    pub waiting: u64,
    /// Items whose present text has a decision. Nothing is lost when `stored = scrubbed + waiting + scored`.
    pub scored: u64,
    /// Predictions beyond the first for the same item, text and model.
    pub duplicates: u64,
    /// Decisions on the present texts.
    pub decisions: DecisionCounts,
}

/// Automatic decisions on the present texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DecisionCounts {
    /// Left alone.
    pub allow: u64,
    /// For a moderator.
    pub review: u64,
    /// Taken down.
    pub remove: u64,
}

/// $1 attempts after which an item is stuck. Folded totals and what came since; what waits and what is open are
/// few, and have indexes of their own.
pub(crate) const COMMUNITIES: &str = "
    select c.source, c.name, c.enabled, c.last_fetched_at, c.last_error,
        coalesce(t.stored, 0) + coalesce(d.stored, 0) as stored,
        coalesce(t.scrubbed, 0) + coalesce(d.scrubbed, 0) - coalesce(t.restored, 0) - coalesce(d.restored, 0)
            as scrubbed,
        coalesce(w.waiting, 0) as waiting, coalesce(w.stuck, 0) as stuck, coalesce(q.flagged, 0) as flagged
    from communities c
        left join community_totals t on t.community_id = c.id
        left join (
            select community_id, sum(stored)::bigint as stored, sum(scrubbed)::bigint as scrubbed,
                sum(restored)::bigint as restored
            from count_deltas group by 1) d on d.community_id = c.id
        left join (
            select community_id, count(*) as waiting, count(*) filter (where queue_attempts >= $1) as stuck
            from items where pending_since is not null group by 1) w on w.community_id = c.id
        left join (select community_id, count(*) as flagged from queue group by 1) q on q.community_id = c.id
    order by c.source, c.name";

const SHIPPED: &str = "
    select version, registered_at from models where bundle_uri is null order by registered_at desc limit 1";

const DRIFT: &str = "
    select c.source, c.name, r.verdict, r.summary, r.window_end
    from communities c cross join lateral (
        select verdict, summary, window_end from drift_reports
        where community_id = c.id order by window_end desc limit 1) r
    order by r.window_end desc, c.name";

const TOTALS: &str = "
    with decided as (
        select d.outcome
        from items i join decisions d on d.part = i.part and d.item_id = i.id and d.content_hash = i.content_hash
        where d.no = 0
    )
    select (select count(*) from items) as stored,
        (select count(*) from items i where not exists (
            select from item_texts t where t.part = i.part and t.item_id = i.id)) as scrubbed,
        (select count(*) from items where pending_since is not null) as waiting,
        (select count(*) - count(distinct (item_id, content_hash, model_id)) from predictions) as duplicates,
        count(*) as scored,
        count(*) filter (where outcome = 'allow') as allow,
        count(*) filter (where outcome = 'review') as review,
        count(*) filter (where outcome = 'remove') as remove
    from decided";

const FOLD: &str = "
    with gone as (
        delete from count_deltas returning community_id, stored, scored, flagged, scrubbed, restored
    )
    insert into community_totals as t (community_id, stored, scored, flagged, scrubbed, restored)
    select community_id, sum(stored), sum(scored), sum(flagged), sum(scrubbed), sum(restored)
    from gone group by 1
    on conflict (community_id) do update
    set stored = t.stored + excluded.stored, scored = t.scored + excluded.scored,
        flagged = t.flagged + excluded.flagged, scrubbed = t.scrubbed + excluded.scrubbed,
        restored = t.restored + excluded.restored";

const DOING: &str = "reading the status";

impl Store {
    /// What `up` and `modloop status` show. Cheap enough to repeat every second.
    pub async fn status(&self) -> Result<Status, StoreError> {
        let (communities, drift, serving, shipped) = futures::try_join!(
            self.rows(DOING, COMMUNITIES, &[(&STUCK_AFTER as _, Type::INT4)]),
            self.rows(DOING, DRIFT, &[]),
            self.serving(),
            self.row_or_none(DOING, SHIPPED, &[]),
        )?;
        let (model, challenger) = in_service(serving, shipped.as_ref())?;
        Ok(Status {
            communities: communities.iter().map(community_status).collect::<Result<_, _>>()?,
            model,
            challenger,
            drift: drift.iter().map(last_report).collect::<Result<_, _>>()?,
        })
    }

    /// Counts over the whole database. Reads all of it: for reports, not for a live display.
    pub async fn totals(&self) -> Result<Totals, StoreError> {
        let row = self.row(DOING, TOTALS, &[]).await?;
        Ok(Totals {
            stored: count(&row, "stored")?,
            scrubbed: count(&row, "scrubbed")?,
            waiting: count(&row, "waiting")?,
            scored: count(&row, "scored")?,
            duplicates: count(&row, "duplicates")?,
            decisions: DecisionCounts {
                allow: count(&row, "allow")?,
                review: count(&row, "review")?,
                remove: count(&row, "remove")?,
            },
        })
    }

    /// The server's version and the schema's, in one line.
    pub async fn server(&self) -> Result<String, StoreError> {
        let sql = "select current_setting('server_version') as server, max(version) as schema,
                       pg_size_pretty(pg_database_size(current_database())) as size
                   from refinery_schema_history";
        let row = self.row("reading the versions of the database", sql, &[]).await?;
        let (server, schema): (String, i32) = (column(&row, "server")?, column(&row, "schema")?);
        Ok(format!("Postgres {server}, schema {schema}, {}", column::<String>(&row, "size")?))
    }

    /// Adds what came since to the totals of communities. May run beside everything else, and be repeated.
    pub async fn fold_counts(&self) -> Result<(), StoreError> {
        self.change("adding up counts of items", FOLD, &[]).await.map(drop)
    }
}

/// Without an alias the function serves what ships inside it: the newest one registered.
fn in_service(
    serving: Serving,
    shipped: Option<&Row>,
) -> Result<(Option<ModelInService>, Option<ModelInService>), StoreError> {
    let shipped = || {
        let model = |row| {
            Ok(ModelInService {
                version: parsed(row, "version")?,
                mode: ModelMode::Shipped,
                since: column(row, "registered_at")?,
            })
        };
        shipped.map(model).transpose()
    };
    let model = match serving.champion {
        Some(champion) => Some(ModelInService {
            version: champion.version,
            mode: ModelMode::Champion,
            since: champion.since,
        }),
        None => shipped()?,
    };
    let challenger = serving.challenger.map(|challenger| ModelInService {
        version: challenger.model.version,
        mode: match challenger.mode {
            ChallengerMode::Shadow => ModelMode::Shadow,
            ChallengerMode::Canary => ModelMode::Canary,
        },
        since: challenger.model.since,
    });
    Ok((model, challenger))
}

fn community_status(row: &Row) -> Result<CommunityStatus, StoreError> {
    let (fetched, waiting) = (count(row, "stored")?, count(row, "waiting")?);
    let deleted = u64::try_from(column::<i64>(row, "scrubbed")?).unwrap_or_default();
    Ok(CommunityStatus {
        name: community(row)?,
        enabled: column(row, "enabled")?,
        fetched,
        waiting,
        // An item stops waiting in two ways only: it is scored, or its text goes.
        scored: fetched.saturating_sub(waiting + deleted),
        deleted,
        flagged: count(row, "flagged")?,
        stuck: count(row, "stuck")?,
        last_fetched_at: column(row, "last_fetched_at")?,
        last_error: column(row, "last_error")?,
    })
}

fn last_report(row: &Row) -> Result<LastReport, StoreError> {
    Ok(LastReport {
        community: community(row)?,
        verdict: parsed(row, "verdict")?,
        summary: column(row, "summary")?,
        window_end: column(row, "window_end")?,
    })
}
