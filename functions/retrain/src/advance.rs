use std::time::Duration;

use modloop_domain::RunState;
use modloop_store::runs::{Run, RunUpdate};
use serde_json::json;

use crate::steps::{Step, Work};
use crate::{Context, Deadline, RetrainError};

/// How far an invocation came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Advanced {
    /// The run that was looked at last.
    pub run: Option<i64>,
    /// How far it is.
    pub state: Option<RunState>,
    /// What it waits for; nothing when there is nothing to do.
    pub waits: Option<String>,
    /// How runs ended: another one may have had its turn since.
    pub ended: Vec<RunState>,
}

/// How long the right to work on runs lasts without being renewed: after a process that was killed, runs wait
/// this long.
const LEASE: Duration = Duration::from_secs(60);

const LEASE_NAME: &str = "runs";

/// Moves the active run step by step until it must wait, the deadline is near, or no run is left. One process
/// at a time does this; another that comes meanwhile leaves it to that one.
pub(crate) async fn advance(context: &Context, deadline: Deadline) -> Result<Advanced, RetrainError> {
    let holder = format!("retrain-{:032x}", rand::random::<u128>());
    if !take_lease(context, &holder).await? {
        let waits = Some("another invocation is at work".to_owned());
        return Ok(Advanced { waits, ..Advanced::default() });
    }
    let advanced = tokio::select! {
        advanced = move_runs(context, deadline) => advanced,
        lost = keep_lease(context, &holder) => lost,
    };
    context.database.ask(async |store| store.release_lease(LEASE_NAME, &holder).await).await?;
    advanced
}

async fn take_lease(context: &Context, holder: &str) -> Result<bool, RetrainError> {
    Ok(context.database.ask(async |store| store.take_lease(LEASE_NAME, holder, LEASE).await).await?)
}

/// Renews the lease until it is lost, which another process may take as leave to work.
async fn keep_lease(context: &Context, holder: &str) -> Result<Advanced, RetrainError> {
    loop {
        tokio::time::sleep(LEASE / 3).await;
        if !take_lease(context, holder).await? {
            let waits = Some("another invocation took over".to_owned());
            return Ok(Advanced { waits, ..Advanced::default() });
        }
    }
}

async fn move_runs(context: &Context, deadline: Deadline) -> Result<Advanced, RetrainError> {
    let mut advanced = Advanced::default();
    let mut first = true;
    while let Some(run) = context.database.ask(async |store| store.current_run().await).await? {
        advanced = Advanced { run: Some(run.id), state: Some(run.state), waits: None, ..advanced };
        if deadline.is_near() || !first && needs_time(run.state) && !deadline.has_plenty() {
            advanced.waits = Some("the time of this invocation is up".to_owned());
            break;
        }
        first = false;
        match step(context, &run, deadline).await? {
            Step::Moved(to) => {
                advanced.state = Some(to);
                advanced.ended.extend(to.is_final().then_some(to));
            }
            Step::Waits(reason) => {
                tracing::info!(run = run.id, state = run.state.as_str(), reason, "the run waits");
                advanced.waits = Some(reason);
                break;
            }
        }
    }
    Ok(advanced)
}

/// What cannot be cut into smaller pieces.
fn needs_time(state: RunState) -> bool {
    state == RunState::Evaluating
}

/// One step. A passing fault lets the run wait, for as long as the operator's patience; any other ends it.
async fn step(context: &Context, run: &Run, deadline: Deadline) -> Result<Step, RetrainError> {
    let work = Work::new(context, run, deadline).await?;
    let error = match work.step().await {
        Ok(step) => return Ok(step),
        // Without the database nothing can be written down either.
        Err(error @ RetrainError::Store(_)) => return Err(error),
        Err(error) => error,
    };
    let reason = error.to_string();
    let failing =
        run.failing_since.map_or(0.0, |since| (chrono::Utc::now() - since).as_seconds_f64() / 3600.0);
    let patient = failing < work.settings.training.patience_hours;
    if error.is_retryable() && patient {
        tracing::warn!(run = run.id, state = run.state.as_str(), reason, "the step is tried again later");
        context.database.ask(async |store| store.note_trouble(run.id, &reason).await).await?;
        return Ok(Step::Waits(reason));
    }
    tracing::error!(run = run.id, state = run.state.as_str(), reason, "the run failed");
    work.give_up(&reason).await
}

impl Work<'_> {
    /// Ends the run as failed; a challenger on trial goes.
    async fn give_up(&self, reason: &str) -> Result<Step, RetrainError> {
        if matches!(self.run.state, RunState::Shadow | RunState::Canary) {
            return self.withdraw(RunState::RolledBack, reason, &RunUpdate::default(), &json!({})).await;
        }
        self.end(RunState::Failed, reason, RunUpdate::default()).await
    }
}
