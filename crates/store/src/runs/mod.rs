//! Training runs: requests, moves from state to state, and the story of each.
//!
//! A run moves by one statement that changes nothing unless the run is still where the caller saw it, so that
//! two processes, or one that was killed and its successor, move it once.

mod run;
mod story;

use modloop_domain::{Actor, RunState};
use tokio_postgres::types::{Json, Type};

use crate::connection::Parameter;
use crate::row::column;
use crate::{Store, StoreError};

pub(crate) use run::run;
pub use run::{Change, Run, RunRequest, RunUpdate};
pub use story::RunEvent;

const DOING: &str = "moving a training run";

/// The name of the challenger is made here, once, from the moment and the run's number.
const REQUEST: &str = "
    with known as (
        select id from runs where episode = $3
    ), made as (
        insert into runs (requested_by, request, episode, requested_model, challenger_version)
        select $1, $2, $3, $4,
            to_char(now() at time zone 'utc', 'YYYY-MM-DD-HH24MISS') || '-'
                || substr(md5(random()::text || clock_timestamp()::text), 1, 6)
        where not exists (select from known)
        on conflict (episode) do nothing
        returning id
    ), told as (
        insert into run_events (run_id, state, what, facts)
        select id, 'requested', 'requested by ' || $1, jsonb_build_object('reason', $2::text, 'episode', $3::bigint) from made
    )
    select id, true as is_new from made union all select id, false from known";

/// The active run before the oldest that waits.
const CURRENT: &str = "
    select * from runs where finished_at is null
    order by (state = 'requested'), id limit 1";

/// $1 run, $2 state it must be in, $3 state it comes into, $4 [`RunUpdate`]. Gives the row, or none.
const MOVE: &str = "
    update runs r
    set state = $3,
        state_since = case when r.state = $3 then r.state_since else now() end,
        started_at = case when $3 = 'requested' then r.started_at else coalesce(r.started_at, now()) end,
        finished_at = case when $3 in ('champion', 'rejected', 'rolled_back', 'failed', 'stopped') then now() end,
        failing_since = null,
        reason = s.reason,
        champion_version = coalesce(s.champion_version, r.champion_version),
        config = coalesce(s.config, r.config),
        labeling = coalesce(s.labeling, r.labeling),
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
        champion_version text, config jsonb, labeling jsonb, champion_quality jsonb, data_set_uri text,
        data_set_hash text, data_set jsonb, job_name text, job_artifact text, job_seconds integer,
        bundle_uri text, gate jsonb, registered_version text, trial jsonb, reason text)
    where r.id = $1 and r.state = $2";

/// Moves a run where one more condition holds.
pub(crate) fn moved(condition: &str) -> String {
    format!("{MOVE} {condition} returning r.*")
}

/// $5 says in words what happened, $6 holds the facts.
pub(crate) const TELL: &str = "
    insert into run_events (run_id, state, what, facts) select id, state, $5, $6 from moved";

const TROUBLE: &str = "
    with before as (
        select id, reason from runs where id = $1 and finished_at is null for update
    ), noted as (
        update runs r set failing_since = coalesce(r.failing_since, now()), reason = $2
        from before where r.id = before.id
    )
    insert into run_events (run_id, state, what, facts)
    select r.id, r.state, 'waits', jsonb_build_object('reason', $2::text)
    from runs r join before using (id) where before.reason is distinct from $2";

/// Why a run is not stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such run.
    #[error("there is no run {0}; `modloop runs` lists them")]
    Unknown(i64),
    /// It ended before.
    #[error("run {id} is over already: it ended as {state}")]
    Over {
        /// The run.
        id: i64,
        /// How it ended.
        state: RunState,
    },
}

const STOP: &str = "
    with asked as (
        update runs set stop_requested_at = now(), stop_requested_by = $2
        where id = $1 and finished_at is null and stop_requested_at is null returning id, state
    ), told as (
        insert into run_events (run_id, state, what, facts)
        select id, state, 'stop requested', jsonb_build_object('by', $2::text) from asked
    )
    insert into audit (actor, action, subject, before)
    select $2, 'run.stop', 'run:' || id, jsonb_build_object('state', state) from asked";

impl Store {
    /// Stores a request and gives the run's number; `false` where the episode has a run already. Only a
    /// request for an episode may be repeated.
    pub async fn request_run(&self, request: &RunRequest) -> Result<(i64, bool), StoreError> {
        let doing = "storing a request for a training run";
        let model = request.model.as_ref().map(|model| model.as_str());
        let parameters = [
            (&request.by.as_str() as _, Type::TEXT),
            (&request.reason as _, Type::TEXT),
            (&request.episode as _, Type::INT8),
            (&model as _, Type::TEXT),
        ];
        match self.row_or_none(doing, REQUEST, &parameters).await? {
            Some(row) => Ok((column(&row, "id")?, column(&row, "is_new")?)),
            // Another process stored it between the two looks of the statement.
            None => {
                let sql = "select id from runs where episode = $1";
                let row = self.row(doing, sql, &[(&request.episode as _, Type::INT8)]).await?;
                Ok((column(&row, "id")?, false))
            }
        }
    }

    /// Stores an operator's request, with an audit entry, and gives the run's number. Must not be repeated by
    /// itself.
    pub async fn request_run_by_hand(&self, actor: &Actor, request: &RunRequest) -> Result<i64, StoreError> {
        let doing = "storing a request for a training run";
        let sql = REQUEST.replace(
            "), told as (",
            "), noted as (
                insert into audit (actor, action, subject) select $5, 'run.request', 'run:' || id from made
            ), told as (",
        );
        let model = request.model.as_ref().map(|model| model.as_str());
        let parameters = [
            (&request.by.as_str() as _, Type::TEXT),
            (&request.reason as _, Type::TEXT),
            (&request.episode as _, Type::INT8),
            (&model as _, Type::TEXT),
            (&actor.as_str() as _, Type::TEXT),
        ];
        column(&self.row(doing, &sql, &parameters).await?, "id")
    }

    /// The run that is under way, or the one whose turn it is.
    pub async fn current_run(&self) -> Result<Option<Run>, StoreError> {
        self.row_or_none(DOING, CURRENT, &[]).await?.as_ref().map(run).transpose()
    }

    /// One run.
    pub async fn run(&self, id: i64) -> Result<Option<Run>, StoreError> {
        let sql = "select * from runs where id = $1";
        self.row_or_none(DOING, sql, &[(&id as _, Type::INT8)]).await?.as_ref().map(run).transpose()
    }

    /// The latest runs, newest first.
    pub async fn runs(&self, limit: u32) -> Result<Vec<Run>, StoreError> {
        let sql = "select * from runs order by id desc limit $1";
        self.rows(DOING, sql, &[(&i64::from(limit) as _, Type::INT8)]).await?.iter().map(run).collect()
    }

    /// Moves a run and tells so in its story, in one statement. `None`: it is not in `from` any more, and
    /// nothing was changed.
    pub async fn move_run(
        &self,
        id: i64,
        step: (RunState, RunState),
        change: Change<'_>,
    ) -> Result<Option<Run>, StoreError> {
        let sql = format!("with moved as ({}), told as ({TELL}) select * from moved", moved(""));
        self.take_step(DOING, &sql, id, step, change, &[]).await
    }

    /// Runs a statement that moves a run and returns its row, if it moved: $1 to $4 as in [`moved`], $5 and $6
    /// as in [`TELL`], then `more`.
    pub(crate) async fn take_step(
        &self,
        doing: &'static str,
        sql: &str,
        id: i64,
        (from, to): (RunState, RunState),
        Change { update, what, facts }: Change<'_>,
        more: &[Parameter<'_>],
    ) -> Result<Option<Run>, StoreError> {
        let (from, to, update) = (from.as_str(), to.as_str(), Json(update));
        let mut parameters: Vec<Parameter<'_>> = vec![
            (&id as _, Type::INT8),
            (&from as _, Type::TEXT),
            (&to as _, Type::TEXT),
            (&update as _, Type::JSONB),
            (&what as _, Type::TEXT),
            (facts as _, Type::JSONB),
        ];
        parameters.extend_from_slice(more);
        self.row_or_none(doing, sql, &parameters).await?.as_ref().map(run).transpose()
    }

    /// Asks for a run to be stopped: its next step ends it, and stops its job. Asking twice is asking once.
    pub async fn request_stop(&self, id: i64, actor: &Actor) -> Result<Run, StopError> {
        let parameters = [(&id as _, Type::INT8), (&actor.as_str() as _, Type::TEXT)];
        self.change("asking for a run to be stopped", STOP, &parameters).await?;
        match self.run(id).await? {
            None => Err(StopError::Unknown(id)),
            Some(run) if run.state.is_final() => Err(StopError::Over { id, state: run.state }),
            Some(run) => Ok(run),
        }
    }

    /// Notes why a run waits. The same reason twice is told once.
    pub async fn note_trouble(&self, id: i64, reason: &str) -> Result<(), StoreError> {
        let parameters = [(&id as _, Type::INT8), (&reason as _, Type::TEXT)];
        self.change("noting why a training run waits", TROUBLE, &parameters).await.map(drop)
    }
}
