use modloop_domain::ModelVersion;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::{column, count, named};
use crate::{ChallengerMode, Store, StoreError};

/// What one batch adds to the health of a model on trial, or of the champion beside it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthEntry {
    /// Whose health.
    pub model_version: ModelVersion,
    /// Texts it scored.
    pub items: u64,
    /// Texts it could not score.
    pub failed: u64,
    /// Its bundle could not be loaded.
    pub load_failures: u64,
    /// Time that scoring took.
    pub milliseconds: f64,
}

/// Sums over a trial.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Health {
    /// Texts scored.
    pub items: u64,
    /// Texts that could not be scored.
    pub failed: u64,
    /// Times that its bundle could not be loaded.
    pub load_failures: u64,
    /// Time that scoring took.
    pub milliseconds: f64,
}

/// What a trial has shown so far. Both models scored the same texts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialNumbers {
    /// Hours since the mode began.
    pub hours: f64,
    /// Texts that both scored.
    pub pairs: u64,
    /// Of them, flagged by the champion.
    pub champion_flagged: u64,
    /// Of them, flagged by the challenger.
    pub challenger_flagged: u64,
    /// Labels known of texts that both scored, on which only the champion was right.
    pub only_champion_right: u64,
    /// On which only the challenger was right.
    pub only_challenger_right: u64,
    /// Of the champion beside it.
    pub champion: Health,
    /// Of the challenger.
    pub challenger: Health,
}

const ADD: &str = "
    insert into trial_health as h (challenger, mode, model_version, items, failed, load_failures, milliseconds)
    select $1, $2, s.* from jsonb_to_recordset($3) as s(model_version text, items bigint, failed bigint,
        load_failures bigint, milliseconds double precision)
    order by s.model_version
    on conflict (challenger, mode, model_version) do update
    set items = h.items + excluded.items, failed = h.failed + excluded.failed,
        load_failures = h.load_failures + excluded.load_failures,
        milliseconds = h.milliseconds + excluded.milliseconds";

/// $1 challenger, $2 champion. Predictions are counted from the moment the mode began.
const NUMBERS: &str = "
    with alias as (
        select updated_at, mode from model_aliases where alias = 'challenger' and model_version = $1
    ), pairs as (
        select c.fullname, c.content_hash, c.scores as challenger, p.scores as champion,
            (c.decision <> 'allow') as challenger_flagged, (p.decision <> 'allow') as champion_flagged,
            s.review_threshold
        from alias a
            join predictions c on c.model_version = $1 and c.scored_at >= a.updated_at
            join predictions p on p.fullname = c.fullname and p.content_hash = c.content_hash
                and p.model_version = $2
            join subreddits s on s.id = c.subreddit_id
    ), judged as (
        select (pairs.challenger[array_position(mc.labels, l.label)] >= pairs.review_threshold) = l.value as challenger_right,
            (pairs.champion[array_position(mp.labels, l.label)] >= pairs.review_threshold) = l.value as champion_right
        from pairs
            join models mc on mc.version = $1 join models mp on mp.version = $2
            join (
                select distinct on (fullname, content_hash, label) fullname, content_hash, label, value
                from labels order by fullname, content_hash, label, (source = 'human') desc) l
                on l.fullname = pairs.fullname and l.content_hash = pairs.content_hash
    )
    select extract(epoch from now() - a.updated_at)::float8 / 3600 as hours,
        (select count(*) from pairs) as pairs,
        (select count(*) from pairs where champion_flagged) as champion_flagged,
        (select count(*) from pairs where challenger_flagged) as challenger_flagged,
        (select count(*) from judged where champion_right and not challenger_right) as only_champion_right,
        (select count(*) from judged where challenger_right and not champion_right) as only_challenger_right
    from alias a";

const HEALTH: &str = "
    select h.model_version, h.items, h.failed, h.load_failures, h.milliseconds
    from trial_health h join model_aliases a
        on a.alias = 'challenger' and a.model_version = h.challenger and a.mode = h.mode
    where h.challenger = $1";

const DOING: &str = "reading how a trial goes";

impl ChallengerMode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ChallengerMode::Shadow => "shadow",
            ChallengerMode::Canary => "canary",
        }
    }
}

impl Store {
    /// Adds what a batch showed about the models in a trial.
    pub async fn record_health(
        &self,
        challenger: &ModelVersion,
        mode: ChallengerMode,
        entries: &[HealthEntry],
    ) -> Result<(), StoreError> {
        let added = self.client.execute(ADD, &[&challenger.as_str(), &mode.as_str(), &Json(entries)]).await;
        added.map(|_rows| ()).map_err(StoreError::query("noting how a trial goes"))
    }

    /// What the challenger's trial has shown in its present mode; `None` when it is not on trial.
    pub async fn trial_numbers(
        &self,
        challenger: &ModelVersion,
        champion: &ModelVersion,
    ) -> Result<Option<TrialNumbers>, StoreError> {
        let error = StoreError::query(DOING);
        let names: [&str; 2] = [challenger.as_str(), champion.as_str()];
        let Some(row) = self.client.query_opt(NUMBERS, &[&names[0], &names[1]]).await.map_err(&error)? else {
            return Ok(None);
        };
        let mut numbers = TrialNumbers {
            hours: column(&row, "hours")?,
            pairs: count(&row, "pairs")?,
            champion_flagged: count(&row, "champion_flagged")?,
            challenger_flagged: count(&row, "challenger_flagged")?,
            only_champion_right: count(&row, "only_champion_right")?,
            only_challenger_right: count(&row, "only_challenger_right")?,
            champion: Health::default(),
            challenger: Health::default(),
        };
        for row in self.client.query(HEALTH, &[&names[0]]).await.map_err(&error)? {
            let of: ModelVersion = named(&row, "model_version")?;
            if of == *challenger {
                numbers.challenger = health(&row)?;
            } else if of == *champion {
                numbers.champion = health(&row)?;
            }
        }
        Ok(Some(numbers))
    }
}

fn health(row: &Row) -> Result<Health, StoreError> {
    Ok(Health {
        items: count(row, "items")?,
        failed: count(row, "failed")?,
        load_failures: count(row, "load_failures")?,
        milliseconds: column(row, "milliseconds")?,
    })
}
