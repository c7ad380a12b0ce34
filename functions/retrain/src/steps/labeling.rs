use std::collections::BTreeMap;
use std::time::Duration;

use modloop_domain::RunState;
use modloop_domain::{ItemId, Label, ModelVersion};
use modloop_labeler::{NoLabel, Outcome, Unlabeled};
use modloop_store::labels::{LlmLabel, UnlabeledItem};
use modloop_store::runs::RunUpdate;
use serde_json::{Value, json};

use super::quality::{agreements, champion_quality, distrust};
use super::{Step, Work};
use crate::outside::LabelTexts;
use crate::{RetrainError, RunBudget};

/// Texts asked about before what was answered is stored.
const BATCH: u32 = 40;
/// Tries for one text; some answers are out of the schema once and not again.
const PATIENCE: u16 = 3;
/// What a batch may take when the endpoint is slow: another is not begun with less time left.
const BATCH_TAKES: Duration = Duration::from_secs(60);
/// Why labeling came to its end.
enum Ended {
    /// Every item was asked about.
    Done,
    /// Nothing more may be spent.
    Budget,
    /// The labels are not to be trusted.
    Distrusted(String),
    /// The next invocation goes on.
    OutOfTime,
}

impl Work<'_> {
    /// Labels batch by batch, each stored before the next; then ends the run or builds the data set.
    pub(super) async fn label(&self) -> Result<Step, RetrainError> {
        let run = self.run.id;
        // Only this process works on the run: what is reserved was left behind by one that died.
        self.context.database.ask(async |store| store.settle_abandoned(run).await).await?;
        let ended = match &self.context.outside.labeler {
            Some(labeler) => self.ask_labeler(labeler.as_ref()).await?,
            None => Ended::Done,
        };
        let progress = self.labeling_progress(&ended).await?;
        match ended {
            Ended::OutOfTime => Ok(Step::Waits("labeling goes on".into())),
            Ended::Distrusted(reason) => self.end(RunState::Rejected, &reason, progress).await,
            Ended::Done | Ended::Budget => match self.permission().await? {
                Some(permission) => self.build_data_set(&permission, progress).await,
                None => {
                    let quality = progress.champion_quality.as_ref().map(summary).unwrap_or_default();
                    let reason = format!(
                        "nobody has stated that texts may be trained on, so no text goes into a data set (see \
                         `modloop permission --help`); the champion on this run's labels: {quality}"
                    );
                    self.end(RunState::Rejected, &reason, progress).await
                }
            },
        }
    }

    async fn ask_labeler(&self, labeler: &dyn LabelTexts) -> Result<Ended, RetrainError> {
        let (run, settings, database) = (self.run.id, &self.settings, &self.context.database);
        let labels = self.labels().await?;
        let budget = RunBudget::new(database, run, settings.run_budget(), settings.month_budget()).await?;
        let mut least_left = Duration::ZERO;
        loop {
            let items = database.ask(async |store| store.unlabeled(run, PATIENCE, BATCH).await).await?;
            if items.is_empty() {
                return Ok(Ended::Done);
            }
            if self.deadline.left() <= least_left {
                return Ok(Ended::OutOfTime);
            }
            least_left = BATCH_TAKES;
            let texts = items.iter().map(|item| Unlabeled { id: item.id.clone(), text: item.text.scored() });
            let outcomes = labeler.label(&settings.labeler, texts.collect(), &labels, &budget).await;
            let answered = self.store_answers(&items, &outcomes).await?;
            if let Some(reason) = self.distrust().await? {
                return Ok(Ended::Distrusted(reason));
            }
            let reasons = outcomes.iter().filter_map(|outcome| outcome.result.as_ref().err());
            match reasons.clone().find(|reason| reason.concerns_everything()) {
                Some(NoLabel::Budget(_)) => return Ok(Ended::Budget),
                Some(reason) => return Err(RetrainError::Labeler(reason.to_string())),
                None if answered == 0 && reasons.clone().any(NoLabel::is_retryable) => {
                    let reason = reasons.map(ToString::to_string).next().unwrap_or_default();
                    return Err(RetrainError::Labeler(reason));
                }
                None => {}
            }
        }
    }

    /// Stores labels, and counts refusals of what will hardly be answered another time.
    async fn store_answers(
        &self,
        items: &[UnlabeledItem],
        outcomes: &[Outcome],
    ) -> Result<usize, RetrainError> {
        let run = self.run.id;
        let hashes: BTreeMap<&ItemId, &UnlabeledItem> = items.iter().map(|item| (&item.id, item)).collect();
        let labels: Vec<LlmLabel> =
            outcomes.iter().filter_map(|outcome| label(hashes.get(&outcome.id)?, outcome)).collect();
        let refused: Vec<ItemId> = outcomes
            .iter()
            .filter(|o| o.result.as_ref().is_err_and(|why| !why.is_retryable() && !why.concerns_everything()))
            .map(|outcome| outcome.id.clone())
            .collect();
        let database = &self.context.database;
        database.ask(async |store| store.record_llm_labels(run, &labels).await).await?;
        database.ask(async |store| store.count_refusals(run, &refused).await).await?;
        tracing::info!(run, labeled = labels.len(), refused = refused.len(), "texts were labeled");
        Ok(labels.len())
    }

    async fn distrust(&self) -> Result<Option<String>, RetrainError> {
        let run = self.run.id;
        let agreed = self.context.database.ask(async |store| store.agreement(run).await).await?;
        let Self { settings, .. } = self;
        Ok(distrust(
            &agreements(&agreed),
            settings.sampling.agreement_labels,
            settings.sampling.min_agreement,
        ))
    }

    /// What labeling gave and cost, and how good the champion is by it.
    async fn labeling_progress(&self, ended: &Ended) -> Result<RunUpdate, RetrainError> {
        let (run, database) = (self.run.id, &self.context.database);
        let champion = self.champion()?;
        let items = self.labeled_items(champion).await?;
        let agreed = database.ask(async |store| store.agreement(run).await).await?;
        let spent = database.ask(async |store| store.spent(&RunBudget::period(run)).await).await?;
        let labeling = json!({
            "labeled": items.iter().filter(|item| item.in_run).count(),
            "budget_used_up": matches!(ended, Ended::Budget),
            "agreement": agreements(&agreed),
            "tokens": spent.spent.tokens, "cost_micros": spent.spent.micros,
        });
        let quality = champion_quality(&items, &self.labels().await?);
        let (labeling, champion_quality) = (Some(labeling), Some(json!(quality)));
        Ok(RunUpdate { labeling, champion_quality, ..RunUpdate::default() })
    }

    pub(super) fn champion(&self) -> Result<&ModelVersion, RetrainError> {
        self.needed(&self.run.champion_version, "champion_version")
    }

    /// The champion's; a challenger has the same.
    pub(super) async fn labels(&self) -> Result<Vec<Label>, RetrainError> {
        let champion = self.champion()?;
        Ok(self.context.database.ask(async |store| store.model_labels(champion).await).await?)
    }
}

fn label(item: &UnlabeledItem, outcome: &Outcome) -> Option<LlmLabel> {
    let verdict = outcome.result.as_ref().ok()?;
    Some(LlmLabel {
        item: item.id.clone(),
        content_hash: item.content_hash,
        values: verdict.answers.clone(),
        model: verdict.model.clone(),
        rubric_version: verdict.rubric_version.clone(),
        rationale: verdict.rationale.clone(),
        tokens: outcome.spent.tokens(),
        cost_micros: outcome.spent.cost.0,
    })
}

/// `hate: recall 0.61, precision 0.72 on 300 texts; …`
fn summary(quality: &Value) -> String {
    let number = |value: &Value| value.as_f64().map_or("unknown".to_owned(), |n| format!("{n:.2}"));
    let labels = quality.as_object().into_iter().flatten().map(|(label, measured)| {
        let (recall, precision) = (number(&measured["recall"]), number(&measured["precision"]));
        format!("{label}: recall {recall}, precision {precision} on {} texts", measured["items"])
    });
    labels.collect::<Vec<_>>().join("; ")
}
