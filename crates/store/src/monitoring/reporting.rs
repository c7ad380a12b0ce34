use chrono::{DateTime, Utc};
use modloop_domain::{ModelVersion, SubredditName};
use serde_json::Value;
use tokio_postgres::Row;

use super::{Target, Window, count};
use crate::{Store, StoreError};

/// What the monitor found in one window.
#[derive(Debug, Clone, PartialEq)]
pub struct NewReport {
    /// What was looked at.
    pub window: Window,
    /// How many predictions.
    pub items: u64,
    /// `insufficient`, `stable`, `warning` or `drift`.
    pub verdict: &'static str,
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
    /// `insufficient`, `stable`, `warning` or `drift`.
    pub verdict: String,
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
    /// Drift of this model in this subreddit was found and has not ended.
    pub episode_open: bool,
    /// When the subreddit's last episode ended, whatever the model.
    pub last_episode_closed: Option<DateTime<Utc>>,
}

/// An episode whose retrain request has not been sent yet, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRequest {
    /// Names the episode for good: a receiver that sees it twice ignores the second.
    pub episode: i64,
    /// Where the model does not fit any more.
    pub subreddit: SubredditName,
    /// Which model.
    pub model: ModelVersion,
    /// The summary of the report that opened the episode.
    pub reason: String,
    /// The window of that report.
    pub window: Window,
}

const STORED: &str = "
    select items, verdict, breaches, summary, statistics from drift_reports
    where subreddit_id = $1 and model_version = $2 and window_end = $3";

const PAST: &str = "
    select coalesce((
            select breaches from drift_reports
            where subreddit_id = $1 and model_version = $2 and window_end <= $3
            order by window_end desc limit 1), 0) as breaches,
        exists (
            select from drift_episodes
            where subreddit_id = $1 and model_version = $2 and closed_at is null) as episode_open,
        (select max(closed_at) from drift_episodes where subreddit_id = $1) as last_episode_closed";

/// Report and episode in one statement: killed at any moment, both are there or neither is.
///
/// Times of episodes are ends of windows, not the clock's, so that a window that is looked at late says the
/// same. A stable window closes also what a model left open that decides nothing any more.
const RECORD_REPORT: &str = "
    with report as (
        insert into drift_reports (subreddit_id, model_version, window_start, window_end, items, verdict,
            breaches, summary, statistics)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict (subreddit_id, model_version, window_end) do nothing
        returning verdict
    ), opened as (
        insert into drift_episodes (subreddit_id, model_version, opened_at)
        select $1, $2, $4 from report where verdict = 'drift'
        on conflict (subreddit_id, model_version) where closed_at is null do nothing
    ), closed as (
        update drift_episodes e set closed_at = $4
        from report
        where report.verdict = 'stable' and e.closed_at is null and e.opened_at < $4 and e.subreddit_id = $1
            and (e.model_version = $2 or not exists (
                select from predictions p
                where p.subreddit_id = $1 and p.model_version = e.model_version and p.decides
                    and p.scored_at >= $3))
    )
    select exists (select from report) as is_new";

/// An episode opens with the end of the window of the report that opened it.
const DUE: &str = "
    select e.id, s.name, e.model_version, r.summary, r.window_start, r.window_end
    from drift_episodes e
        join subreddits s on s.id = e.subreddit_id
        join drift_reports r on r.subreddit_id = e.subreddit_id and r.model_version = e.model_version
            and r.window_end = e.opened_at
    where e.closed_at is null and e.requested_at is null and s.enabled
    order by e.id";

const DOING: &str = "reading drift reports";

impl Store {
    /// The report on a window, where there is one already.
    pub async fn stored_report(
        &self,
        target: &Target,
        window_end: DateTime<Utc>,
    ) -> Result<Option<StoredReport>, StoreError> {
        let model = target.model.as_str();
        let row = self.client.query_opt(STORED, &[&target.subreddit_id, &model, &window_end]).await;
        row.map_err(StoreError::query(DOING))?.as_ref().map(stored).transpose()
    }

    /// What was before a window that starts at `window_start`. Windows that overlap it count nothing: the
    /// same items would count twice.
    pub async fn past(&self, target: &Target, window_start: DateTime<Utc>) -> Result<Past, StoreError> {
        let error = StoreError::query(DOING);
        let model = target.model.as_str();
        let row = self.client.query_one(PAST, &[&target.subreddit_id, &model, &window_start]).await;
        let row = row.map_err(&error)?;
        Ok(Past {
            breaches: breaches(&row)?,
            episode_open: row.try_get("episode_open").map_err(&error)?,
            last_episode_closed: row.try_get("last_episode_closed").map_err(&error)?,
        })
    }

    /// Stores a report, opens an episode with `drift` and closes it with `stable`. May be repeated: the
    /// first report on a window stays, and `false` says that it was there.
    pub async fn record_report(&self, target: &Target, report: &NewReport) -> Result<bool, StoreError> {
        let error = StoreError::query("recording a drift report");
        let row = self
            .client
            .query_one(
                RECORD_REPORT,
                &[
                    &target.subreddit_id,
                    &target.model.as_str(),
                    &report.window.start,
                    &report.window.end,
                    &i64::try_from(report.items).unwrap_or(i64::MAX),
                    &report.verdict,
                    &i32::try_from(report.breaches).unwrap_or(i32::MAX),
                    &report.summary,
                    &report.statistics,
                ],
            )
            .await
            .map_err(&error)?;
        row.try_get("is_new").map_err(&error)
    }

    /// Open episodes whose request is not known to be sent. After [`Store::mark_requested`] an episode is
    /// not among them any more; a monitor that is killed between sending and marking sends it once more,
    /// with the same episode.
    pub async fn due_requests(&self) -> Result<Vec<DueRequest>, StoreError> {
        let rows = self.client.query(DUE, &[]).await.map_err(StoreError::query(DOING))?;
        rows.iter().map(due).collect()
    }

    /// Remembers that the episode's request is in the queue.
    pub async fn mark_requested(&self, episode: i64) -> Result<(), StoreError> {
        self.client
            .execute(
                "update drift_episodes set requested_at = now() where id = $1 and requested_at is null",
                &[&episode],
            )
            .await
            .map(|_changed| ())
            .map_err(StoreError::query("marking a retrain request as sent"))
    }
}

fn stored(row: &Row) -> Result<StoredReport, StoreError> {
    let error = StoreError::query(DOING);
    Ok(StoredReport {
        items: count(row, "items")?,
        verdict: row.try_get("verdict").map_err(&error)?,
        breaches: breaches(row)?,
        summary: row.try_get("summary").map_err(&error)?,
        statistics: row.try_get("statistics").map_err(&error)?,
    })
}

fn due(row: &Row) -> Result<DueRequest, StoreError> {
    let error = StoreError::query(DOING);
    let (name, model): (&str, &str) =
        (row.try_get("name").map_err(&error)?, row.try_get("model_version").map_err(&error)?);
    let corrupt =
        |what: String| StoreError::corrupt(format!("an episode with a name that is refused: {what}"));
    Ok(DueRequest {
        episode: row.try_get("id").map_err(&error)?,
        subreddit: name.parse().map_err(|e| corrupt(format!("{e}")))?,
        model: model.parse().map_err(|e| corrupt(format!("{e}")))?,
        reason: row.try_get("summary").map_err(&error)?,
        window: Window {
            start: row.try_get("window_start").map_err(&error)?,
            end: row.try_get("window_end").map_err(&error)?,
        },
    })
}

fn breaches(row: &Row) -> Result<u32, StoreError> {
    row.try_get::<_, i32>("breaches").map(i32::unsigned_abs).map_err(StoreError::query(DOING))
}
