use std::time::{Duration, Instant};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use modloop_domain::Fullname;
use modloop_store::{Challenger, HealthEntry, StoreError};

use crate::trial::{Judged, judge};
use crate::{Batch, Context, LoadModel, OnTrial, Report, Scored};

/// Scores the items that the messages name. Never fails as a whole: what could not be done is in the
/// response, and only that is delivered again.
pub async fn handle<L: LoadModel>(context: &Context<L>, event: SqsEvent) -> Report {
    let started = Instant::now();
    let batch = Batch::read(event);
    let names = batch.names();
    let outcome = score_items(context, &names).await;
    let failed = match &outcome {
        Ok(scored) => &scored.failed,
        Err(_) => &names,
    };
    let again = batch.poison.iter().cloned().chain(batch.messages(failed));
    let mut response = SqsBatchResponse::default();
    response.set_failures(again);
    Report { response, poison: batch.poison.len(), items: names.len(), outcome, took: started.elapsed() }
}

/// One query reads the texts, all cores score them, one statement writes the predictions.
async fn score_items<L: LoadModel>(context: &Context<L>, names: &[Fullname]) -> Result<Scored, StoreError> {
    let serving = context.database.ask(async |store| store.serving().await).await?;
    let model = context.models.champion(serving.champion.as_ref()).await;
    let trial = context.models.on_trial(serving.challenger.as_ref()).await;
    let items = context.database.ask(async |store| store.items_to_score(names).await).await?;
    let Judged { predictions, failed, health } = judge(&model.scorer, trial.as_ref(), &items).await;
    let recorded = context.database.ask(async |store| store.record_predictions(&predictions).await).await?;
    if let Some(trial) = &trial {
        record_health(context, trial, &health).await;
    }
    let oldest_unscored = oldest_unscored(context).await;
    Ok(Scored {
        model: model.scorer.version().clone(),
        load_failed: model.load_failed,
        recorded,
        texts: items.len(),
        failed,
        oldest_unscored,
    })
}

/// What the trial is judged by. The scores are written, so a failure here must not bring the messages back.
async fn record_health<L>(context: &Context<L>, trial: &OnTrial, health: &[HealthEntry]) {
    let Challenger { model, mode, .. } = &trial.challenger;
    let recorded =
        context.database.ask(async |store| store.record_health(&model.version, *mode, health).await).await;
    if let Err(error) = recorded {
        tracing::warn!(reason = %error, "how the trial goes was not noted");
    }
}

/// Only a metric: the scores are written, so a failure here must not bring the messages back.
async fn oldest_unscored<L>(context: &Context<L>) -> Option<Duration> {
    let age = context.database.ask(async |store| store.oldest_unscored().await).await;
    age.inspect_err(|error| tracing::warn!(reason = %error, "the age of the oldest unscored item is unknown"))
        .ok()
        .flatten()
}
