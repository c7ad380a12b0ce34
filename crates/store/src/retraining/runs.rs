use tokio_postgres::types::Json;

use super::run::run;
use super::{Progress, Run, RunRequest, RunState};
use crate::{DatabaseSettings, Store, StoreError, connection};

/// Held by the one process that works on runs. Any number that nothing else locks.
const LOCK: i64 = 0x4D4F_444C_4F4F_5002;

const DOING: &str = "moving a training run";

/// The name of the challenger is made here, once, from the moment and the run's number.
const REQUEST: &str = "
    with known as (
        select id from training_runs where episode = $3
    ), made as (
        insert into training_runs (requested_by, request, episode, requested_model, challenger_version)
        select $1, $2, $3, $4,
            to_char(now() at time zone 'utc', 'YYYY-MM-DD-HH24MISS') || '-'
                || substr(md5(random()::text || clock_timestamp()::text), 1, 6)
        where not exists (select from known)
        on conflict (episode) do nothing
        returning id
    ), told as (
        insert into training_run_events (run_id, state, what, facts)
        select id, 'requested', 'requested by ' || $1, jsonb_build_object('reason', $2, 'episode', $3) from made
    )
    select id, true as is_new from made union all select id, false from known";

/// The active run before the oldest that waits.
const CURRENT: &str = "
    select * from training_runs where finished_at is null
    order by (state = 'requested'), id limit 1";

/// $1 run, $2 state it must be in, $3 state it comes into, $4 [`Progress`]. Gives the row, or none.
const MOVE: &str = "
    update training_runs r
    set state = $3,
        state_since = case when r.state = $3 then r.state_since else now() end,
        started_at = case when $3 = 'requested' then r.started_at else coalesce(r.started_at, now()) end,
        finished_at = case when $3 in ('champion', 'rejected', 'rolled_back', 'failed') then now() end,
        failing_since = null,
        reason = s.reason,
        champion_version = coalesce(s.champion_version, r.champion_version),
        config = coalesce(s.config, r.config),
        labelling = coalesce(s.labelling, r.labelling),
        champion_quality = coalesce(s.champion_quality, r.champion_quality),
        data_set_uri = coalesce(s.data_set_uri, r.data_set_uri),
        data_set_hash = coalesce(s.data_set_hash, r.data_set_hash),
        data_set = coalesce(s.data_set, r.data_set),
        job_name = coalesce(s.job_name, r.job_name),
        job_artifact = coalesce(s.job_artifact, r.job_artifact),
        job_seconds = coalesce(s.job_seconds, r.job_seconds),
        bundle_uri = coalesce(s.bundle_uri, r.bundle_uri),
        gate = coalesce(s.gate, r.gate),
        registered_version = coalesce(s.registered_version, r.registered_version),
        trial = coalesce(s.trial, r.trial)
    from jsonb_to_record($4) as s(
        champion_version text, config jsonb, labelling jsonb, champion_quality jsonb, data_set_uri text,
        data_set_hash text, data_set jsonb, job_name text, job_artifact text, job_seconds integer,
        bundle_uri text, gate jsonb, registered_version text, trial jsonb, reason text)
    where r.id = $1 and r.state = $2";

/// Moves a run where one more condition holds.
pub(super) fn moved(condition: &str) -> String {
    format!("{MOVE} {condition} returning r.*")
}

/// $5 says in words what happened, $6 holds the facts.
pub(super) const TELL: &str = "
    insert into training_run_events (run_id, state, what, facts) select id, state, $5, $6 from moved";

const TROUBLE: &str = "
    with before as (
        select id, reason from training_runs where id = $1 and finished_at is null for update
    ), noted as (
        update training_runs r set failing_since = coalesce(r.failing_since, now()), reason = $2
        from before where r.id = before.id
    )
    insert into training_run_events (run_id, state, what, facts)
    select r.id, r.state, 'waits', jsonb_build_object('reason', $2::text)
    from training_runs r join before using (id) where before.reason is distinct from $2";

/// The right to work on runs, held until dropped or until the process dies.
pub struct RunLock {
    connection: tokio_postgres::Client,
}

impl RunLock {
    /// `None` while another process works on runs. The lock is a connection of its own: a killed process
    /// cannot leave it behind.
    pub async fn take(settings: &DatabaseSettings) -> Result<Option<Self>, StoreError> {
        let connection = connection::open(settings).await?;
        let taken: bool = connection
            .query_one_scalar("select pg_try_advisory_lock($1)", &[&LOCK])
            .await
            .map_err(StoreError::query("taking the lock on training runs"))?;
        Ok(taken.then_some(Self { connection }))
    }

    /// Gives it back at once. Dropped instead, it is free as soon as Postgres notices.
    pub async fn release(self) {
        let released = self.connection.execute("select pg_advisory_unlock($1)", &[&LOCK]).await;
        if let Err(error) = released {
            tracing::warn!(
                reason = crate::error::reason(&error),
                "the lock on training runs ends with its connection"
            );
        }
    }
}

impl Store {
    /// Stores a request and gives the run's number; `false` where the episode has a run already.
    pub async fn request_run(&self, request: &RunRequest) -> Result<(i64, bool), StoreError> {
        let error = StoreError::query("storing a request for a training run");
        let model = request.model.as_ref().map(|model| model.as_str());
        let by = request.by.as_str();
        let row = self
            .client
            .query_opt(REQUEST, &[&by, &request.reason, &request.episode, &model])
            .await
            .map_err(&error)?;
        match row {
            Some(row) => Ok((row.try_get("id").map_err(&error)?, row.try_get("is_new").map_err(&error)?)),
            // Another process stored it between the two looks of the statement.
            None => {
                let sql = "select id from training_runs where episode = $1";
                let id = self.client.query_one_scalar(sql, &[&request.episode]).await.map_err(&error)?;
                Ok((id, false))
            }
        }
    }

    /// The run that is under way, or the one whose turn it is.
    pub async fn current_run(&self) -> Result<Option<Run>, StoreError> {
        let row = self.client.query_opt(CURRENT, &[]).await.map_err(StoreError::query(DOING))?;
        row.as_ref().map(run).transpose()
    }

    /// One run.
    pub async fn run(&self, id: i64) -> Result<Option<Run>, StoreError> {
        let sql = "select * from training_runs where id = $1";
        let row = self.client.query_opt(sql, &[&id]).await.map_err(StoreError::query(DOING))?;
        row.as_ref().map(run).transpose()
    }

    /// The latest runs, newest first.
    pub async fn runs(&self, limit: u32) -> Result<Vec<Run>, StoreError> {
        let sql = "select * from training_runs order by id desc limit $1";
        let rows = self.client.query(sql, &[&i64::from(limit)]).await.map_err(StoreError::query(DOING))?;
        rows.iter().map(run).collect()
    }

    /// Moves a run and tells so in its story, in one statement. `None`: it is not in `from` any more, and
    /// nothing was changed.
    pub async fn move_run(
        &self,
        id: i64,
        (from, to): (RunState, RunState),
        progress: &Progress,
        what: &str,
        facts: &serde_json::Value,
    ) -> Result<Option<Run>, StoreError> {
        let sql = format!("with moved as ({}), told as ({TELL}) select * from moved", moved(""));
        let row = self
            .client
            .query_opt(&sql, &[&id, &from.as_str(), &to.as_str(), &Json(progress), &what, facts])
            .await
            .map_err(StoreError::query(DOING))?;
        row.as_ref().map(run).transpose()
    }

    /// Notes why a run waits. The same reason twice is told once.
    pub async fn note_trouble(&self, id: i64, reason: &str) -> Result<(), StoreError> {
        let noted = self.client.execute(TROUBLE, &[&id, &reason]).await;
        noted.map(|_told| ()).map_err(StoreError::query("noting why a training run waits"))
    }
}
