use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use modloop_domain::{DriftRequest, DriftVerdict};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, Type};

use super::references::columns;
use super::{Pair, Window, pair};
use crate::communities::community;
use crate::row::{column, count, parsed};
use crate::{Store, StoreError};

/// What the monitor found in one window of a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct NewReport {
    /// Whose window.
    pub pair: Pair,
    /// How many predictions.
    pub items: u64,
    /// In one word.
    pub verdict: DriftVerdict,
    /// Windows in a row with a breach, this one included.
    pub breaches: u32,
    /// One sentence: which statistic moved and by how much.
    pub summary: String,
    /// Everything that was computed.
    pub statistics: Value,
}

/// A report that is in the database.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredReport {
    /// How many predictions.
    pub items: u64,
    /// In one word.
    pub verdict: DriftVerdict,
    /// Windows in a row with a breach, this one included.
    pub breaches: u32,
    /// One sentence.
    pub summary: String,
    /// Everything that was computed.
    pub statistics: Value,
}

/// What was before a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Past {
    /// Windows in a row with a breach, up to the last one that ended before this one began.
    pub breaches: u32,
    /// Drift of this model in this community was found and has not ended.
    pub episode_open: bool,
    /// When the community's last episode ended, whatever the model.
    pub last_episode_closed: Option<DateTime<Utc>>,
}

/// An episode whose retrain request has not been sent yet, as far as is known.
pub type DueRequest = DriftRequest;

/// Names an episode.
pub type Episode = i64;

#[derive(Debug, Serialize)]
struct ReportRow<'a> {
    community_id: i32,
    model_id: i16,
    items: u64,
    verdict: &'a str,
    breaches: u32,
    summary: &'a str,
    statistics: &'a Value,
}

const STORED: &str = "
    select community_id, model_id, items, verdict, breaches, summary, statistics
    from drift_reports where window_end = $1";

const PAST: &str = "
    select w.community_id, w.model_id,
        coalesce((
            select breaches from drift_reports r
            where r.community_id = w.community_id and r.model_id = w.model_id and r.window_end <= $3
            order by window_end desc limit 1), 0) as breaches,
        exists (
            select from drift_episodes e
            where e.community_id = w.community_id and e.model_id = w.model_id and e.closed_at is null)
            as episode_open,
        (select max(closed_at) from drift_episodes e where e.community_id = w.community_id)
            as last_episode_closed
    from unnest($1::integer[], $2::smallint[]) as w(community_id, model_id)";

/// Reports and episodes in one statement: killed at any moment, both are there or neither is.
///
/// Times of episodes are ends of windows, not the clock's, so that a window that is looked at late says the
/// same. A stable window also closes what a model left open that decides nothing any more.
const RECORD: &str = "
    with report as (
        insert into drift_reports (community_id, model_id, window_start, window_end, items, verdict, breaches,
            summary, statistics)
        select community_id, model_id, $2, $3, items, verdict, breaches, summary, statistics
        from jsonb_to_recordset($1) as r(community_id integer, model_id smallint, items bigint, verdict text,
            breaches integer, summary text, statistics jsonb)
        on conflict (community_id, model_id, window_end) do nothing
        returning community_id, model_id, verdict
    ), opened as (
        insert into drift_episodes (community_id, model_id, opened_at)
        select community_id, model_id, $3 from report where verdict = 'drift'
        on conflict (community_id, model_id) where closed_at is null do nothing
    ), closed as (
        update drift_episodes e set closed_at = $3
        from report r
        where r.verdict = 'stable' and e.closed_at is null and e.opened_at < $3
            and e.community_id = r.community_id
            and (e.model_id = r.model_id
                or not exists (select from report o where o.community_id = e.community_id and o.model_id = e.model_id))
    )
    select community_id, model_id from report";

/// An episode opens with the end of the window of the report that opened it.
const DUE: &str = "
    select e.id, c.source, c.name, m.version, r.summary, r.window_start, r.window_end
    from drift_episodes e
        join communities c on c.id = e.community_id join models m on m.id = e.model_id
        join drift_reports r on r.community_id = e.community_id and r.model_id = e.model_id
            and r.window_end = e.opened_at
    where e.closed_at is null and e.requested_at is null and c.enabled
    order by e.id";

const DOING: &str = "reading drift reports";

impl Store {
    /// The reports on windows that end at a moment.
    pub async fn stored_reports(
        &self,
        window_end: DateTime<Utc>,
    ) -> Result<BTreeMap<Pair, StoredReport>, StoreError> {
        let rows = self.rows(DOING, STORED, &[(&window_end as _, Type::TIMESTAMPTZ)]).await?;
        rows.iter().map(|row| Ok((pair(row)?, stored(row)?))).collect()
    }

    /// What was before a window that starts at `window_start`. Windows that overlap it count nothing: the same
    /// items would count twice.
    pub async fn past(
        &self,
        pairs: &[Pair],
        window_start: DateTime<Utc>,
    ) -> Result<BTreeMap<Pair, Past>, StoreError> {
        let (communities, models) = columns(pairs);
        let parameters = [
            (&communities as _, Type::INT4_ARRAY),
            (&models as _, Type::INT2_ARRAY),
            (&window_start as _, Type::TIMESTAMPTZ),
        ];
        let past = |row: &Row| {
            let past = Past {
                breaches: breaches(row)?,
                episode_open: column(row, "episode_open")?,
                last_episode_closed: column(row, "last_episode_closed")?,
            };
            Ok((pair(row)?, past))
        };
        self.rows(DOING, PAST, &parameters).await?.iter().map(past).collect()
    }

    /// Stores the reports on a window, opens episodes with `drift` and closes them with `stable`. May be
    /// repeated: the first report on a window stays. Returns the pairs whose reports are new.
    pub async fn record_reports(
        &self,
        window: Window,
        reports: &[NewReport],
    ) -> Result<BTreeSet<Pair>, StoreError> {
        let rows: Vec<_> = reports.iter().map(report_row).collect();
        let parameters = [
            (&Json(&rows) as _, Type::JSONB),
            (&window.start as _, Type::TIMESTAMPTZ),
            (&window.end as _, Type::TIMESTAMPTZ),
        ];
        self.rows("recording drift reports", RECORD, &parameters).await?.iter().map(pair).collect()
    }

    /// Open episodes whose request is not known to be sent. After [`Store::mark_requested`] an episode is not
    /// among them any more; a monitor that is killed between sending and marking sends it once more, with the
    /// same episode.
    pub async fn due_requests(&self) -> Result<Vec<DueRequest>, StoreError> {
        let due = |row: &Row| {
            Ok(DriftRequest {
                episode: column(row, "id")?,
                community: community(row)?,
                model: parsed(row, "version")?,
                reason: column(row, "summary")?,
                window_start: column(row, "window_start")?,
                window_end: column(row, "window_end")?,
            })
        };
        self.rows(DOING, DUE, &[]).await?.iter().map(due).collect()
    }

    /// Remembers that the episode's request is in the queue. May be repeated.
    pub async fn mark_requested(&self, episode: Episode) -> Result<(), StoreError> {
        let sql = "update drift_episodes set requested_at = now() where id = $1 and requested_at is null";
        self.change("marking a retrain request as sent", sql, &[(&episode as _, Type::INT8)]).await.map(drop)
    }
}

fn report_row(report: &NewReport) -> ReportRow<'_> {
    ReportRow {
        community_id: report.pair.community,
        model_id: report.pair.model,
        items: report.items,
        verdict: report.verdict.as_str(),
        breaches: report.breaches,
        summary: &report.summary,
        statistics: &report.statistics,
    }
}

fn stored(row: &Row) -> Result<StoredReport, StoreError> {
    Ok(StoredReport {
        items: count(row, "items")?,
        verdict: parsed(row, "verdict")?,
        breaches: breaches(row)?,
        summary: column(row, "summary")?,
        statistics: column(row, "statistics")?,
    })
}

fn breaches(row: &Row) -> Result<u32, StoreError> {
    column::<i32>(row, "breaches").map(i32::unsigned_abs)
}
