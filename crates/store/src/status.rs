//! What people are shown: counts for each subreddit, the model in service, the last drift verdicts.

use chrono::{DateTime, Utc};
use modloop_domain::{ModelVersion, SubredditName};
use serde::Serialize;
use tokio_postgres::Row;

use crate::{ChallengerMode, Store, StoreError};

/// The system at one moment, as `up` and `modloop status` show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// By name.
    pub subreddits: Vec<SubredditStatus>,
    /// `None` until inference has started once.
    pub model: Option<ModelInService>,
    /// The model on trial, where there is one.
    pub challenger: Option<ModelInService>,
    /// The last report on each subreddit, newest first.
    pub drift: Vec<DriftVerdict>,
}

/// Counts of items of one subreddit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubredditStatus {
    /// Without `r/`.
    pub name: SubredditName,
    /// Whether it is fetched.
    pub enabled: bool,
    /// Items ever stored.
    pub fetched: u64,
    /// Stored and not scored yet.
    pub waiting: u64,
    /// Scored, and not deleted since.
    pub scored: u64,
    /// Of those, how many the deciding model would have reviewed or removed.
    pub flagged: u64,
    /// Waiting although queued five times or more: look into the dead-letter queue.
    pub stuck: u64,
    /// The last pass that went well.
    pub last_fetched_at: Option<DateTime<Utc>>,
    /// Why the last pass did not.
    pub last_error: Option<String>,
}

/// A model and what it is let do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelInService {
    /// Which one.
    pub version: ModelVersion,
    /// What it is let do.
    pub mode: ModelMode,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// What a model is let do.
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
pub struct DriftVerdict {
    /// Whose items were compared.
    pub subreddit: SubredditName,
    /// `insufficient`, `stable`, `warning` or `drift`.
    pub verdict: String,
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
    /// Items whose text is gone from Reddit, and from here.
    pub scrubbed: u64,
    /// Items not scored yet.
    pub waiting: u64,
    /// Items whose present text has a prediction that decides. Nothing is lost when
    /// `stored = scrubbed + waiting + scored`.
    pub scored: u64,
    /// Predictions beyond the first for the same item, text and model.
    pub duplicates: u64,
    /// Decisions on the present texts.
    pub decisions: DecisionCounts,
}

/// Decisions on the present texts, by the latest prediction that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DecisionCounts {
    /// Left alone.
    pub allow: u64,
    /// For a moderator.
    pub review: u64,
    /// Taken down.
    pub remove: u64,
}

/// Every count goes through an index of its own; a scan of `items` would read everybody's text.
pub(crate) const SUBREDDITS: &str = "
    select s.name, s.enabled, s.last_fetched_at, s.last_error,
        (select count(*) from items i where i.subreddit_id = s.id) as fetched,
        (select count(*) from items i where i.subreddit_id = s.id and i.scrubbed_at is not null) as scrubbed,
        coalesce(w.waiting, 0) as waiting, coalesce(w.stuck, 0) as stuck,
        (select count(distinct p.fullname)
         from predictions p join items i on i.fullname = p.fullname and i.content_hash = p.content_hash
         where p.subreddit_id = s.id and p.decides and p.decision <> 'allow'
             and not exists (
                 select from predictions later
                 where later.fullname = p.fullname and later.content_hash = p.content_hash
                     and later.decides and later.scored_at > p.scored_at)) as flagged
    from subreddits s
    left join (
        select subreddit_id, count(*) as waiting, count(*) filter (where queue_attempts >= 5) as stuck
        from items where pending_since is not null group by subreddit_id) w on w.subreddit_id = s.id
    order by s.name";

const SHIPPED: &str = "
    select version, registered_at from models where bundle_uri is null order by registered_at desc limit 1";

const DRIFT: &str = "
    select s.name, r.verdict, r.summary, r.window_end
    from subreddits s cross join lateral (
        select verdict, summary, window_end from drift_reports
        where subreddit_id = s.id order by window_end desc limit 1) r
    order by r.window_end desc, s.name";

const TOTALS: &str = "
    with decided as (
        select distinct on (i.fullname) p.decision
        from items i join predictions p on p.fullname = i.fullname and p.content_hash = i.content_hash
        where p.decides
        order by i.fullname, p.scored_at desc
    )
    select (select count(*) from items) as stored,
        (select count(*) from items where scrubbed_at is not null) as scrubbed,
        (select count(*) from items where pending_since is not null) as waiting,
        (select count(*) - count(distinct (fullname, content_hash, model_version)) from predictions)
            as duplicates,
        count(*) as scored,
        count(*) filter (where decision = 'allow') as allow,
        count(*) filter (where decision = 'review') as review,
        count(*) filter (where decision = 'remove') as remove
    from decided";

const DOING: &str = "reading the status";

impl Store {
    /// What `up` and `modloop status` show. Cheap enough to repeat every second.
    pub async fn status(&self) -> Result<Status, StoreError> {
        let error = StoreError::query(DOING);
        let subreddits = self.client.query(SUBREDDITS, &[]).await.map_err(&error)?;
        let drift = self.client.query(DRIFT, &[]).await.map_err(&error)?;
        let serving = self.serving().await?;
        let model = match serving.champion {
            Some(champion) => Some(ModelInService {
                version: champion.version,
                mode: ModelMode::Champion,
                since: champion.since,
            }),
            None => self.shipped_model().await?,
        };
        let challenger = serving.challenger.map(|c| ModelInService {
            version: c.model.version,
            mode: match c.mode {
                ChallengerMode::Shadow => ModelMode::Shadow,
                ChallengerMode::Canary => ModelMode::Canary,
            },
            since: c.model.since,
        });
        Ok(Status {
            subreddits: subreddits.iter().map(subreddit).collect::<Result<_, _>>()?,
            model,
            challenger,
            drift: drift.iter().map(verdict).collect::<Result<_, _>>()?,
        })
    }

    /// Counts over the whole database. Reads all of it: for reports, not for a live display.
    pub async fn totals(&self) -> Result<Totals, StoreError> {
        let row = self.client.query_one(TOTALS, &[]).await.map_err(StoreError::query(DOING))?;
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

    /// Watches these subreddits from now on, with the default thresholds. Those that are there already
    /// stay as they are. Returns how many were new.
    pub async fn add_subreddits(&self, names: &[SubredditName]) -> Result<u64, StoreError> {
        let names: Vec<&str> = names.iter().map(SubredditName::as_str).collect();
        self.client
            .execute(
                "insert into subreddits (name) select unnest($1::text[]) on conflict do nothing",
                &[&names],
            )
            .await
            .map_err(StoreError::query("adding subreddits"))
    }

    /// Without an alias the function serves what ships inside it; the newest one registered is it.
    async fn shipped_model(&self) -> Result<Option<ModelInService>, StoreError> {
        let error = StoreError::query(DOING);
        let Some(row) = self.client.query_opt(SHIPPED, &[]).await.map_err(&error)? else {
            return Ok(None);
        };
        let version: &str = row.try_get("version").map_err(&error)?;
        Ok(Some(ModelInService {
            version: version
                .parse()
                .map_err(|e| StoreError::corrupt(format!("a model whose name is refused: {e}")))?,
            mode: ModelMode::Shipped,
            since: row.try_get("registered_at").map_err(&error)?,
        }))
    }
}

fn subreddit(row: &Row) -> Result<SubredditStatus, StoreError> {
    let error = StoreError::query(DOING);
    let (fetched, waiting) = (count(row, "fetched")?, count(row, "waiting")?);
    Ok(SubredditStatus {
        name: name(row)?,
        enabled: row.try_get("enabled").map_err(&error)?,
        fetched,
        waiting,
        // An item leaves the queue in two ways only: scored or scrubbed.
        scored: fetched.saturating_sub(waiting + count(row, "scrubbed")?),
        flagged: count(row, "flagged")?,
        stuck: count(row, "stuck")?,
        last_fetched_at: row.try_get("last_fetched_at").map_err(&error)?,
        last_error: row.try_get("last_error").map_err(&error)?,
    })
}

fn verdict(row: &Row) -> Result<DriftVerdict, StoreError> {
    let error = StoreError::query(DOING);
    Ok(DriftVerdict {
        subreddit: name(row)?,
        verdict: row.try_get("verdict").map_err(&error)?,
        summary: row.try_get("summary").map_err(&error)?,
        window_end: row.try_get("window_end").map_err(&error)?,
    })
}

fn name(row: &Row) -> Result<SubredditName, StoreError> {
    let name: &str = row.try_get("name").map_err(StoreError::query(DOING))?;
    name.parse().map_err(|e| StoreError::corrupt(format!("a subreddit whose name is refused: {e}")))
}

fn count(row: &Row, column: &str) -> Result<u64, StoreError> {
    row.try_get::<_, i64>(column).map(i64::unsigned_abs).map_err(StoreError::query(DOING))
}
