use chrono::{DateTime, Utc};
use modloop_domain::{ModelVersion, Probability};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::run::run;
use super::runs::{TELL, moved};
use super::{column, named, named_or_none};
use crate::{ChallengerMode, Progress, Run, RunState, Store, StoreError};

/// How far a challenger is let.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrialStart {
    /// What it may do.
    pub mode: ChallengerMode,
    /// The share of items it does it for.
    pub share: Probability,
}

/// What a move of a run says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Found out on the way.
    pub progress: &'a Progress,
    /// In words, for the story and the audit row.
    pub what: &'a str,
    /// With numbers.
    pub facts: &'a Value,
}

/// A change of an alias, as the audit has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Switch {
    /// Counts up.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// `shadow`, `canary`, `promote`, `rollback` or `withdraw`.
    pub action: String,
    /// The champion before.
    pub from_version: Option<ModelVersion>,
    /// The champion after.
    pub to_version: Option<ModelVersion>,
    /// The model on trial that it concerns.
    pub challenger: Option<ModelVersion>,
    /// By which run.
    pub run_id: Option<i64>,
    /// By whom.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// A model that is known, with what it does now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KnownModel {
    /// Names it.
    pub version: ModelVersion,
    /// `champion`, `shadow` or `canary`; `None` when it does nothing.
    pub role: Option<String>,
    /// The share of items a model on trial scores.
    pub share: Option<f32>,
    /// The run that made it; `None` for one of a release or by hand.
    pub run_id: Option<i64>,
    /// Where its bundle lies; `None` when it ships inside the function.
    pub bundle_uri: Option<String>,
    /// Since when it is known.
    pub registered_at: DateTime<Utc>,
}

/// The champion; without an alias the model that ships inside the function, the last one made known.
const CHAMPION: &str = "
    coalesce((select model_version from model_aliases where alias = 'champion'),
        (select version from models where bundle_uri is null order by registered_at desc limit 1))";

/// Only while the alias is the run's own: a person may have withdrawn it.
const STILL_ON_TRIAL: &str = "and exists (
    select from model_aliases a where a.alias = 'challenger' and a.model_version = r.challenger_version)";

/// $7 mode, $8 share.
fn start_sql() -> String {
    format!(
        "with moved as ({}), told as ({TELL}), pointed as (
            insert into model_aliases (alias, model_version, mode, share, updated_at)
            select 'challenger', challenger_version, $7, $8, now() from moved
            on conflict (alias) do update set model_version = excluded.model_version, mode = excluded.mode,
                share = excluded.share, updated_at = excluded.updated_at
        ), noted as (
            insert into model_switches (action, from_version, to_version, challenger, share, run_id, actor, reason)
            select $7, {CHAMPION}, {CHAMPION}, challenger_version, $8, id, 'run-' || id, $5 from moved
        ) select * from moved",
        moved("")
    )
}

fn promote_sql() -> String {
    format!(
        "with moved as ({}), told as ({TELL}), noted as (
            insert into model_switches (action, from_version, to_version, challenger, run_id, actor, reason)
            select 'promote', {CHAMPION}, challenger_version, challenger_version, id, 'run-' || id, $5 from moved
        ), pointed as (
            insert into model_aliases (alias, model_version, mode, share, updated_at)
            select 'champion', challenger_version, 'champion', 1, now() from moved
            on conflict (alias) do update
            set model_version = excluded.model_version, updated_at = excluded.updated_at
        ), freed as (
            delete from model_aliases a using moved
            where a.alias = 'challenger' and a.model_version = moved.challenger_version
        ) select * from moved",
        moved(STILL_ON_TRIAL)
    )
}

fn withdraw_sql() -> String {
    format!(
        "with moved as ({}), told as ({TELL}), freed as (
            delete from model_aliases a using moved
            where a.alias = 'challenger' and a.model_version = moved.challenger_version
            returning moved.id, moved.challenger_version
        ), noted as (
            insert into model_switches (action, from_version, to_version, challenger, run_id, actor, reason)
            select 'withdraw', {CHAMPION}, {CHAMPION}, challenger_version, id, 'run-' || id, $5 from freed
        ) select * from moved",
        moved("")
    )
}

fn known_sql() -> String {
    format!(
        "select m.version, m.bundle_uri, m.registered_at, r.id as run_id, a.share,
            case when a.mode is not null then a.mode when m.version = c.version then 'champion' end as role
        from models m cross join (select {CHAMPION} as version) c
            left join model_aliases a on a.model_version = m.version
            left join training_runs r on r.challenger_version = m.version
        order by m.registered_at desc, m.version desc"
    )
}

pub(super) const DOING: &str = "switching models";

impl Store {
    /// Moves a run into shadow or canary: state, alias, story and audit in one statement. `None`: the run is
    /// not in `from` any more, and nothing was changed.
    pub async fn start_trial(
        &self,
        id: i64,
        from: RunState,
        start: TrialStart,
        change: Change<'_>,
    ) -> Result<Option<Run>, StoreError> {
        let to = match start.mode {
            ChallengerMode::Shadow => RunState::Shadow,
            ChallengerMode::Canary => RunState::Canary,
        };
        let (mode, share) = (start.mode.as_str(), start.share.get());
        let Change { progress, what, facts } = change;
        let row = self
            .client
            .query_opt(
                &start_sql(),
                &[&id, &from.as_str(), &to.as_str(), &Json(progress), &what, facts, &mode, &share],
            )
            .await
            .map_err(StoreError::query(DOING))?;
        row.as_ref().map(run).transpose()
    }

    /// The challenger takes over: state, aliases, story and audit in one statement. `None`: the run is not
    /// in canary, or its challenger was withdrawn.
    pub async fn promote_challenger(&self, id: i64, change: Change<'_>) -> Result<Option<Run>, StoreError> {
        self.switch(&promote_sql(), id, (RunState::Canary, RunState::Champion), change).await
    }

    /// The challenger goes; the champion was never away. In one statement, as above.
    pub async fn withdraw_challenger(
        &self,
        id: i64,
        from: RunState,
        change: Change<'_>,
    ) -> Result<Option<Run>, StoreError> {
        self.switch(&withdraw_sql(), id, (from, RunState::RolledBack), change).await
    }

    async fn switch(
        &self,
        sql: &str,
        id: i64,
        (from, to): (RunState, RunState),
        Change { progress, what, facts }: Change<'_>,
    ) -> Result<Option<Run>, StoreError> {
        let row = self
            .client
            .query_opt(sql, &[&id, &from.as_str(), &to.as_str(), &Json(progress), &what, facts])
            .await
            .map_err(StoreError::query(DOING))?;
        row.as_ref().map(run).transpose()
    }

    /// The model that decides: the alias, or the one that ships inside the function. `None` before any
    /// function has started.
    pub async fn champion(&self) -> Result<Option<ModelVersion>, StoreError> {
        let row = self.client.query_one(&format!("select {CHAMPION} as version"), &[]).await;
        named_or_none(&row.map_err(StoreError::query(DOING))?, "version")
    }

    /// Every model that is known, newest first.
    pub async fn known_models(&self) -> Result<Vec<KnownModel>, StoreError> {
        let rows = self.client.query(&known_sql(), &[]).await.map_err(StoreError::query(DOING))?;
        rows.iter().map(known).collect()
    }

    /// Switches that the registry was not told yet, oldest first.
    pub async fn unmirrored_switches(&self) -> Result<Vec<Switch>, StoreError> {
        let sql = "select * from model_switches where mirrored_at is null order by id";
        let rows = self.client.query(sql, &[]).await.map_err(StoreError::query(DOING))?;
        rows.iter().map(switch).collect()
    }

    /// The latest switches, newest first.
    pub async fn switches(&self, limit: u32) -> Result<Vec<Switch>, StoreError> {
        let sql = "select * from model_switches order by id desc limit $1";
        let rows = self.client.query(sql, &[&i64::from(limit)]).await.map_err(StoreError::query(DOING))?;
        rows.iter().map(switch).collect()
    }

    /// The registry says what the aliases said after this switch.
    pub async fn mark_mirrored(&self, up_to: i64) -> Result<(), StoreError> {
        let sql = "update model_switches set mirrored_at = now() where id <= $1 and mirrored_at is null";
        let marked = self.client.execute(sql, &[&up_to]).await;
        marked.map(|_rows| ()).map_err(StoreError::query(DOING))
    }
}

fn known(row: &Row) -> Result<KnownModel, StoreError> {
    Ok(KnownModel {
        version: named(row, "version")?,
        role: column(row, "role")?,
        share: column(row, "share")?,
        run_id: column(row, "run_id")?,
        bundle_uri: column(row, "bundle_uri")?,
        registered_at: column(row, "registered_at")?,
    })
}

fn switch(row: &Row) -> Result<Switch, StoreError> {
    Ok(Switch {
        id: column(row, "id")?,
        at: column(row, "at")?,
        action: column(row, "action")?,
        from_version: named_or_none(row, "from_version")?,
        to_version: named_or_none(row, "to_version")?,
        challenger: named_or_none(row, "challenger")?,
        run_id: column(row, "run_id")?,
        actor: column(row, "actor")?,
        reason: column(row, "reason")?,
    })
}
