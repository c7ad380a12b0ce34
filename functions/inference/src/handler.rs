use std::time::Instant;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use futures::try_join;
use modloop_domain::ItemId;
use modloop_store::predictions::BatchHealth;
use modloop_store::{Store, StoreError};

use crate::trial::{Judged, judge};
use crate::{Batch, Context, LoadModel, Report, Scored};

/// Scores the items that the messages name. Never fails as a whole: what could not be done is in the
/// response, and only that is delivered again.
pub async fn handle<L: LoadModel>(context: &Context<L>, event: SqsEvent) -> Report {
    let started = Instant::now();
    let batch = Batch::read(event);
    let items = batch.names();
    let outcome = score_items(context, &items).await;
    let failed = match &outcome {
        Ok(scored) => &scored.failed,
        Err(_) => &items,
    };
    let again = batch.poison.iter().cloned().chain(batch.messages(failed));
    let mut response = SqsBatchResponse::default();
    response.set_failures(again);
    Report { response, poison: batch.poison.len(), items: items.len(), outcome, took: started.elapsed() }
}

/// Two answers of the database are awaited: one for everything that the batch needs, one for what came of it.
async fn score_items<L: LoadModel>(context: &Context<L>, items: &[ItemId]) -> Result<Scored, StoreError> {
    let read = async |store: &Store| {
        try_join!(store.serving(), store.items_to_score(items), store.oldest_unscored())
    };
    let (serving, items, oldest_unscored) = context.database.ask(read).await?;
    let model = context.models.champion(serving.champion.as_ref()).await;
    let trial = context.models.on_trial(serving.challenger.as_ref()).await;
    let Judged { predictions, failed, health } = judge(&model.scorer, trial.as_ref(), &items).await;
    let health = trial.as_ref().map(|trial| BatchHealth { challenger: &trial.challenger, entries: &health });
    let recorded =
        context.database.ask(async |store| store.record_predictions(&predictions, health).await).await?;
    Ok(Scored {
        model: model.scorer.version().clone(),
        load_failed: model.load_failed,
        recorded,
        texts: items.len(),
        failed,
        oldest_unscored,
    })
}
