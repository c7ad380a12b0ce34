use modloop_domain::{RequestedBy, RunState};
use modloop_store::runs::RunRequest;
use modloop_telemetry::Metrics;
use serde::Serialize;
use serde_json::Value;

use crate::advance::{Advanced, advance};
use crate::event::Message;
use crate::mirror::mirror;
use crate::{Context, Deadline, Event, RetrainError};

/// What became of an event. SQS reads `batchItemFailures`, people the rest.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Messages that cannot be read; SQS moves them to the dead-letter queue in the end.
    pub batch_item_failures: Vec<ItemFailure>,
    /// The run that was looked at last.
    pub run: Option<i64>,
    /// How far it is.
    pub state: Option<RunState>,
    /// What it waits for.
    pub waits: Option<String>,
}

/// A message that comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFailure {
    /// Its id.
    pub item_identifier: String,
}

/// Remembers what is asked for, then moves the active run as far as it goes before the deadline.
pub async fn handle(context: &Context, event: Value, deadline: Deadline) -> Result<Answer, RetrainError> {
    let failures = remember(context, Event::read(&event)?).await?;
    let advanced = advance(context, deadline).await?;
    // The registry follows what was switched, by a run or by hand; it never holds anything up.
    let lags = mirror(context).await.is_err_and(|error| {
        tracing::warn!(reason = %error, "the registry does not say yet which models serve");
        true
    });
    report(&advanced, failures.len(), lags);
    let Advanced { run, state, waits, .. } = advanced;
    Ok(Answer { batch_item_failures: failures, run, state, waits })
}

async fn remember(context: &Context, event: Event) -> Result<Vec<ItemFailure>, RetrainError> {
    let mut failures = Vec::new();
    match event {
        Event::Start(request) => request_run(context, &request).await?,
        Event::Tick => schedule(context).await?,
        Event::Queue(messages) => {
            for (item_identifier, message) in messages {
                match message {
                    Ok(Message::Request(request)) => request_run(context, &request).await?,
                    Ok(Message::Tick) => {}
                    Err(reason) => {
                        tracing::error!(item_identifier, reason, "a message that is no retrain request");
                        failures.push(ItemFailure { item_identifier });
                    }
                }
            }
        }
    }
    Ok(failures)
}

async fn request_run(context: &Context, request: &RunRequest) -> Result<(), RetrainError> {
    let (run, is_new) = context.database.ask(async |store| store.request_run(request).await).await?;
    tracing::info!(run, is_new, reason = request.reason, "a training run is asked for");
    Ok(())
}

/// Asks for a run when the last one was asked for long enough ago.
async fn schedule(context: &Context) -> Result<(), RetrainError> {
    let training: modloop_settings::Training =
        context.database.ask(async |store| store.settings().await).await?;
    let days = training.every_days;
    if days <= 0.0 {
        return Ok(());
    }
    let last = context.database.ask(async |store| store.runs(1).await).await?;
    let age =
        |run: &modloop_store::runs::Run| (chrono::Utc::now() - run.requested_at).as_seconds_f64() / 86_400.0;
    if last.first().is_some_and(|run| age(run) < days) {
        return Ok(());
    }
    let reason = format!("{days} days since the last run");
    request_run(context, &RunRequest { by: RequestedBy::Schedule, reason, episode: None, model: None }).await
}

fn report(advanced: &Advanced, poison: usize, lags: bool) {
    tracing::info!(
        run = advanced.run,
        state = advanced.state.map(RunState::as_str),
        waits = advanced.waits,
        poison,
        "runs looked at"
    );
    let ended = |state: RunState| advanced.ended.iter().filter(|end| **end == state).count();
    Metrics::new("retrain")
        .count("Poison", poison)
        .count("RunFailed", ended(RunState::Failed))
        .count("RunRejected", ended(RunState::Rejected))
        .count("RunRolledBack", ended(RunState::RolledBack))
        .count("RunPromoted", ended(RunState::Champion))
        .count("RegistryLags", u64::from(lags))
        .emit();
}
