use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use modloop_store::drift::{Closing, DueRequest, Window};
use modloop_store::partitions::RetentionStep;

use crate::assess::assess;
use crate::reference::{grid, length_bounds};
use crate::{Context, Event, MonitorError, RetrainRequests, Settings, Summary};

/// A bucket is closed so long after its end: statements that write predictions end within 30 seconds.
const SETTLING: TimeDelta = TimeDelta::minutes(2);

/// How long one run closes buckets of a backlog. The next run goes on.
const CLOSING_LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// Steps of retention in one run.
const MAX_RETENTION_STEPS: usize = 100;

/// One run. Every community and model gets its report even when another one's fails; what was done is in the
/// database and is not done again.
pub async fn handle<Q: RetrainRequests>(
    context: &Context<Q>,
    event: Event,
    now: DateTime<Utc>,
) -> Result<Summary, MonitorError> {
    let settings = context.database.ask(Settings::read).await?;
    let window = event.window(settings.window, now)?;
    let up_to_date = close_buckets(context, settings, now - SETTLING).await?;
    let from_buckets = up_to_date && window.end <= now - SETTLING && is_aligned(window, settings);
    let (mut summary, mut failures) = assess(context, settings, window, from_buckets).await?;
    failures.extend(request(context, &mut summary).await);
    failures.extend(keep_house(context, settings).await.err());
    summary.emit(failures.len());
    tracing::info!(
        window_end = %window.end, reports = summary.reports.len(), retrain_requests = summary.retrain_requests,
        failed = failures.len(), verdict = summary.verdict.as_str(), from_buckets, "window monitored"
    );
    if failures.is_empty() { Ok(summary) } else { Err(MonitorError::Incomplete(failures)) }
}

/// Condenses the predictions of the hours that are over. `false`: there is a backlog, and the next run goes on.
async fn close_buckets<Q>(
    context: &Context<Q>,
    settings: Settings,
    until: DateTime<Utc>,
) -> Result<bool, MonitorError> {
    let (started, bounds) = (Instant::now(), length_bounds());
    let width = settings.bucket;
    let close =
        async |store: &modloop_store::Store| store.close_next_bucket(until, width, grid(&bounds)).await;
    loop {
        match context.database.ask(close).await? {
            Closing::UpToDate => return Ok(true),
            Closing::Closed(end) if started.elapsed() > CLOSING_LIMIT => {
                tracing::info!(closed_until = %end, "the next run goes on closing buckets of predictions");
                return Ok(false);
            }
            Closing::Closed(_) => {}
        }
    }
}

/// Whether a window consists of whole buckets.
fn is_aligned(window: Window, settings: Settings) -> bool {
    let width = settings.bucket.num_seconds().max(1);
    [window.start, window.end]
        .iter()
        .all(|at| at.timestamp_subsec_nanos() == 0 && at.timestamp().rem_euclid(width) == 0)
}

/// Sends what is due, also from earlier runs whose queue failed. Returns what failed again.
async fn request<Q: RetrainRequests>(context: &Context<Q>, summary: &mut Summary) -> Vec<MonitorError> {
    let due = match context.database.ask(async |store| store.due_requests().await).await {
        Ok(due) => due,
        Err(error) => return vec![error.into()],
    };
    let mut failures = Vec::new();
    for request in due {
        match send(context, request).await {
            Ok(()) => summary.retrain_requests += 1,
            Err(error) => failures.push(error),
        }
    }
    failures
}

async fn send<Q: RetrainRequests>(context: &Context<Q>, due: DueRequest) -> Result<(), MonitorError> {
    let episode = due.episode;
    let sent = context.requests.send(&due).await;
    sent.map_err(|source| MonitorError::Request { episode, source })?;
    context.database.ask(async |store| store.mark_requested(episode).await).await?;
    tracing::info!(episode, "retrain request sent");
    Ok(())
}

/// Adds up counts, makes partitions ahead of time, and lets old texts go.
async fn keep_house<Q>(context: &Context<Q>, settings: Settings) -> Result<(), MonitorError> {
    let (database, retention) = (&context.database, settings.retention);
    database.ask_once(async |store| store.fold_counts().await).await?;
    let made = database.ask(async |store| store.make_partitions(retention.weeks_ahead).await).await?;
    if made > 0 {
        tracing::info!(made, "partitions made");
    }
    for _ in 0..MAX_RETENTION_STEPS {
        let step = async |store: &modloop_store::Store| {
            store.retention_step(retention.text_days, retention.kept_days).await
        };
        match database.ask_once(step).await? {
            RetentionStep::Done => break,
            step => tracing::info!(?step, "retention"),
        }
    }
    Ok(())
}
