//! One step for each state. A step may be cut off anywhere and is then done again: what it makes outside is
//! named by the run, so that a repeat finds it, and what it reached is written in one statement at its end.

mod begin;
mod data_set;
mod evaluating;
mod labeling;
mod quality;
mod sampling;
mod training;
mod trial;

use modloop_domain::{ModelVersion, RunState};
use modloop_store::Store;
use modloop_store::labels::LabeledItem;
use modloop_store::permissions::TrainingPermission;
use modloop_store::runs::{Change, Run, RunUpdate};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Context, Deadline, RetrainError, RunSettings};

/// Labeled items that are looked at.
const MAX_ITEMS: u32 = 50_000;

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The run is in another state, or further on in the same.
    Moved(RunState),
    /// Nothing can be done before something happens.
    Waits(String),
}

/// A run and what is needed to move it.
pub(crate) struct Work<'a> {
    pub(crate) context: &'a Context,
    pub(crate) run: &'a Run,
    /// Those that the run started with.
    pub(crate) settings: RunSettings,
    pub(crate) deadline: Deadline,
}

impl<'a> Work<'a> {
    pub(crate) async fn new(
        context: &'a Context,
        run: &'a Run,
        deadline: Deadline,
    ) -> Result<Self, RetrainError> {
        let settings = match &run.config {
            Some(config) => read(run, "config", config)?,
            None => context.database.ask(RunSettings::read).await?,
        };
        Ok(Self { context, run, settings, deadline })
    }

    /// Does what the run's state asks for, unless the run is to be stopped.
    pub(crate) async fn step(&self) -> Result<Step, RetrainError> {
        if let Some(reason) = self.reason_to_stop().await? {
            return self.stop(&reason).await;
        }
        match self.run.state {
            RunState::Requested => self.begin().await,
            RunState::Sampling => self.sample().await,
            RunState::Labeling => self.label().await,
            RunState::Training => self.train().await,
            RunState::Evaluating => self.evaluate().await,
            RunState::Registered => self.start_shadow().await,
            RunState::Shadow | RunState::Canary => self.watch_trial().await,
            RunState::Champion
            | RunState::Rejected
            | RunState::RolledBack
            | RunState::Failed
            | RunState::Stopped => Ok(Step::Waits("the run is over".into())),
        }
    }

    /// The operator's statement that texts may be trained on.
    pub(crate) async fn permission(&self) -> Result<Option<TrainingPermission>, RetrainError> {
        Ok(self.context.database.ask(async |store| store.training_permission().await).await?)
    }

    /// The newest labeled items with their scores by a model, those of this run among them.
    async fn labeled_items(&self, model: &ModelVersion) -> Result<Vec<LabeledItem>, RetrainError> {
        let run = self.run.id;
        Ok(self.context.database.ask(async |store| store.labeled_items(run, model, MAX_ITEMS).await).await?)
    }

    /// An operator asked for it, or withdrew the permission that the run trains by.
    async fn reason_to_stop(&self) -> Result<Option<String>, RetrainError> {
        if let Some(actor) = &self.run.stop_requested_by {
            return Ok(Some(format!("stopped by {actor}")));
        }
        let has_texts = matches!(
            self.run.state,
            RunState::Training
                | RunState::Evaluating
                | RunState::Registered
                | RunState::Shadow
                | RunState::Canary
        );
        if has_texts && self.permission().await?.is_none() {
            return Ok(Some("the permission to train was withdrawn".to_owned()));
        }
        Ok(None)
    }

    /// Ends the run at an operator's wish, and its job or trial with it.
    async fn stop(&self, reason: &str) -> Result<Step, RetrainError> {
        if matches!(self.run.state, RunState::Shadow | RunState::Canary) {
            return self.withdraw(RunState::Stopped, reason, &RunUpdate::default(), &json!({})).await;
        }
        if let (RunState::Training, Some(job)) = (self.run.state, &self.run.job_name) {
            self.context.outside.jobs.stop(job).await?;
        }
        self.end(RunState::Stopped, reason, RunUpdate::default()).await
    }

    /// Moves the run. That it was moved by somebody else meanwhile is as good.
    async fn move_to(
        &self,
        to: RunState,
        what: &str,
        progress: &RunUpdate,
        facts: &Value,
    ) -> Result<Step, RetrainError> {
        let (id, from) = (self.run.id, self.run.state);
        let (database, change) = (&self.context.database, Change { update: progress, what, facts });
        database.ask(async |store| store.move_run(id, (from, to), change).await).await?;
        tracing::info!(run = id, from = from.as_str(), to = to.as_str(), what, %facts, "the run moved");
        Ok(Step::Moved(to))
    }

    /// Ends the run for a reason.
    pub(crate) async fn end(
        &self,
        state: RunState,
        reason: &str,
        progress: RunUpdate,
    ) -> Result<Step, RetrainError> {
        let progress = RunUpdate { reason: Some(reason.to_owned()), ..progress };
        self.move_to(state, reason, &progress, &json!({})).await
    }

    /// Takes the challenger off its trial, for a reason, and ends the run in `to`; the champion was never away.
    pub(crate) async fn withdraw(
        &self,
        to: RunState,
        reason: &str,
        progress: &RunUpdate,
        facts: &Value,
    ) -> Result<Step, RetrainError> {
        let progress = RunUpdate { reason: Some(reason.to_owned()), ..progress.clone() };
        let (id, from) = (self.run.id, self.run.state);
        let change = Change { update: &progress, what: reason, facts };
        let withdraw = async |store: &Store| store.withdraw_challenger(id, (from, to), change).await;
        self.context.database.ask(withdraw).await?;
        tracing::warn!(run = id, reason, "the challenger was withdrawn");
        Ok(Step::Moved(to))
    }

    /// A column that the run's state promises.
    fn needed<'b, T>(&self, column: &'b Option<T>, name: &str) -> Result<&'b T, RetrainError> {
        let missing = || RetrainError::Incomplete {
            run: self.run.id,
            problem: format!("no {name} in state {}", self.run.state),
        };
        column.as_ref().ok_or_else(missing)
    }
}

/// A column of JSON as the type that was written there.
fn read<T: DeserializeOwned>(run: &Run, name: &str, value: &Value) -> Result<T, RetrainError> {
    serde_json::from_value(value.clone())
        .map_err(|e| RetrainError::Incomplete { run: run.id, problem: format!("an unusable {name}: {e}") })
}
