use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use modloop_classifier::{ScoreError, TextScores};
use modloop_domain::{Fullname, ModelVersion};
use modloop_store::{ItemToScore, NewPrediction, StoreError};
use tokio::task::spawn_blocking;

use crate::{Batch, Context, LoadModel, Report, Scored, Scorer};

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
    let items = context.database.ask(async |store| store.items_to_score(names).await).await?;
    let scores = score_texts(model.scorer.clone(), &items).await;
    let (predictions, failed) = predictions(&items, scores, model.scorer.version());
    let recorded = context.database.ask(async |store| store.record_predictions(&predictions).await).await?;
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

/// Only a metric: the scores are written, so a failure here must not bring the messages back.
async fn oldest_unscored<L>(context: &Context<L>) -> Option<Duration> {
    let age = context.database.ask(async |store| store.oldest_unscored().await).await;
    age.inspect_err(|error| tracing::warn!(reason = %error, "the age of the oldest unscored item is unknown"))
        .ok()
        .flatten()
}

async fn score_texts(scorer: Arc<dyn Scorer>, items: &[ItemToScore]) -> Vec<Result<TextScores, ScoreError>> {
    let texts: Vec<String> = items.iter().map(|item| item.text.scored()).collect();
    let scoring = spawn_blocking(move || {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        scorer.score(&texts)
    });
    match scoring.await {
        Ok(scores) => scores,
        Err(_) => vec![Err(ScoreError::Runtime("the scoring thread ended early".to_owned())); items.len()],
    }
}

/// Sorts what was scored from what failed.
fn predictions(
    items: &[ItemToScore],
    scores: Vec<Result<TextScores, ScoreError>>,
    model: &ModelVersion,
) -> (Vec<NewPrediction>, Vec<Fullname>) {
    let (mut predictions, mut failed) = (Vec::with_capacity(items.len()), Vec::new());
    for (item, scores) in items.iter().zip(scores) {
        match scores {
            Ok(scores) => predictions.push(prediction(item, scores, model)),
            Err(error) => {
                tracing::error!(item = %item.fullname, reason = %error, "the item cannot be scored");
                failed.push(item.fullname.clone());
            }
        }
    }
    (predictions, failed)
}

fn prediction(item: &ItemToScore, scores: TextScores, model: &ModelVersion) -> NewPrediction {
    NewPrediction {
        fullname: item.fullname.clone(),
        content_hash: item.content_hash,
        model_version: model.clone(),
        scores: scores.scores,
        top_score: scores.top,
        entropy: scores.entropy,
        decision: item.thresholds.decide(scores.top),
        decides: true,
        tokens: scores.tokens,
        unknown_tokens: scores.unknown_tokens,
        windows: scores.windows,
        truncated: scores.truncated,
    }
}
