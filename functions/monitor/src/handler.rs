use chrono::{DateTime, Utc};
use modloop_store::{DueRequest, Window};

use crate::assess::assess;
use crate::reference::References;
use crate::{Context, Event, MonitorError, RetrainRequests, Summary};

/// One run. Every subreddit and model gets its report even when another one's fails; what was done is in
/// the database and is not done again.
pub async fn handle<Q: RetrainRequests>(
    context: &Context<Q>,
    event: Event,
    now: DateTime<Utc>,
) -> Result<Summary, MonitorError> {
    let window = event.window(context.settings.window, now)?;
    let (mut summary, mut failures) = report(context, window).await?;
    failures.extend(request(context, &mut summary).await);
    summary.emit(failures.len());
    tracing::info!(
        window_end = %window.end, reports = summary.reports.len(), retrain_requests = summary.retrain_requests,
        failed = failures.len(), verdict = summary.verdict.as_str(), "window monitored"
    );
    if failures.is_empty() { Ok(summary) } else { Err(MonitorError::Incomplete(failures)) }
}

async fn report<Q>(
    context: &Context<Q>,
    window: Window,
) -> Result<(Summary, Vec<MonitorError>), MonitorError> {
    let Context { database, settings, .. } = context;
    let targets = database.ask(async |store| store.monitored(window).await).await?;
    let (mut summary, mut failures) = (Summary::new(window), Vec::new());
    let mut references = References::new(settings.reference_items);
    for target in &targets {
        let (subreddit, model) = (&target.subreddit, &target.model);
        match assess(database, *settings, &mut references, target, window).await {
            Ok(entry) => {
                tracing::info!(%subreddit, %model, items = entry.items, verdict = entry.verdict.as_str(),
                    summary = entry.summary, "reported");
                summary.add(entry);
            }
            Err(error) => {
                tracing::error!(%subreddit, %model, reason = %error, "no report");
                failures.push(error);
            }
        }
    }
    Ok((summary, failures))
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
    let sent = context.requests.send(&due.into()).await;
    sent.map_err(|source| MonitorError::Request { episode, source })?;
    context.database.ask(async |store| store.mark_requested(episode).await).await?;
    tracing::info!(episode, "retrain request sent");
    Ok(())
}
