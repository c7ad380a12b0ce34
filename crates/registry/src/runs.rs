use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use modloop_domain::ModelVersion;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::registry::{RUN_TAG, tag_filter};
use crate::transport::Payload;
use crate::{Entries, Registry, RegistryError};

/// MLflow's id of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ExperimentId(pub(crate) String);

/// By what a run is found again: the tag `modloop.run`. 1 to 60 characters of a-z, 0-9, `-`, `_` and `.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunKey(ModelVersion);

/// Why a text is no [`RunKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no run: expected 1 to 60 characters of a-z, 0-9, '-', '_' and '.'")]
pub struct RunKeyError(String);

impl FromStr for RunKey {
    type Err = RunKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| RunKeyError(text.chars().take(60).collect()))
    }
}

impl From<&ModelVersion> for RunKey {
    fn from(version: &ModelVersion) -> Self {
        Self(version.clone())
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A run as MLflow knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Run {
    /// MLflow's id.
    #[serde(rename = "run_id")]
    pub id: String,
    /// Where its artifacts lie.
    pub artifact_uri: String,
    /// When it began, in milliseconds since 1970.
    pub start_time: i64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// As it should.
    Finished,
    /// With an error.
    Failed,
    /// Somebody stopped it.
    Killed,
}

impl RunStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }
}

#[derive(Deserialize)]
struct ExperimentAnswer {
    experiment: Experiment,
}

#[derive(Deserialize)]
struct Experiment {
    experiment_id: ExperimentId,
    lifecycle_stage: String,
}

#[derive(Deserialize)]
struct RunAnswer {
    info: Run,
}

#[derive(Deserialize)]
struct CreatedRun {
    run: RunAnswer,
}

/// MLflow leaves the list out when it is empty.
#[derive(Deserialize)]
struct FoundRuns {
    #[serde(default)]
    runs: Vec<RunAnswer>,
}

impl Registry {
    /// The experiment, made where it is missing and taken back where somebody deleted it.
    pub async fn experiment(&self) -> Result<ExperimentId, RegistryError> {
        self.retry(|| self.experiment_once()).await
    }

    async fn experiment_once(&self) -> Result<ExperimentId, RegistryError> {
        let name = self.experiment_name();
        let found = match self.find_experiment().await {
            Err(error) if error.is_missing() => {
                match self.post::<Value>("experiments/create", json!({ "name": name })).await {
                    // Somebody else was faster.
                    Err(error) if error.is_conflict() => {}
                    created => drop(created?),
                }
                self.find_experiment().await?
            }
            found => found?,
        };
        if found.lifecycle_stage == "deleted" {
            let id = json!({ "experiment_id": found.experiment_id.0 });
            self.post::<Value>("experiments/restore", id).await?;
        }
        Ok(found.experiment_id)
    }

    async fn find_experiment(&self) -> Result<Experiment, RegistryError> {
        let query = [("experiment_name", self.experiment_name())];
        let answer: ExperimentAnswer = self.get("experiments/get-by-name", &query).await?;
        Ok(answer.experiment)
    }

    /// The run that `key` stands for, made where it is missing.
    pub async fn run(
        &self,
        experiment: &ExperimentId,
        key: &RunKey,
        name: &str,
    ) -> Result<Run, RegistryError> {
        self.retry(|| self.run_once(experiment, key, name)).await
    }

    async fn run_once(
        &self,
        experiment: &ExperimentId,
        key: &RunKey,
        name: &str,
    ) -> Result<Run, RegistryError> {
        if let Some(run) = self.settle_runs(experiment, key).await? {
            return Ok(run);
        }
        let mut tags = Entries::default();
        tags.tag(RUN_TAG, key);
        let run = json!({
            "experiment_id": experiment.0, "run_name": name, "start_time": now(), "tags": tags.tags(),
        });
        let created: CreatedRun = self.post("runs/create", run).await?;
        // Looked for once more: another may have been made at the same moment.
        Ok(self.settle_runs(experiment, key).await?.unwrap_or(created.run.info))
    }

    /// Finds the run of `key`. Of several, which a lost answer or a race leaves behind, the first stays.
    async fn settle_runs(
        &self,
        experiment: &ExperimentId,
        key: &RunKey,
    ) -> Result<Option<Run>, RegistryError> {
        let search = json!({
            "experiment_ids": [experiment.0], "filter": tag_filter(RUN_TAG, &key.to_string()), "max_results": 100,
        });
        let found: FoundRuns = self.post("runs/search", search).await?;
        let mut runs: Vec<Run> = found.runs.into_iter().map(|run| run.info).collect();
        runs.sort_by(|a, b| (a.start_time, &a.id).cmp(&(b.start_time, &b.id)));
        let mut runs = runs.into_iter();
        let first = runs.next();
        for extra in runs {
            taken_away(self.post::<Value>("runs/delete", json!({ "run_id": extra.id })).await.map(drop))?;
        }
        Ok(first)
    }

    /// Logs parameters, metrics and tags with a run, in as many calls as MLflow's limits ask for.
    pub async fn log(&self, run: &Run, entries: &Entries) -> Result<(), RegistryError> {
        for batch in entries.batches(&run.id, run.start_time) {
            self.retry(|| self.post::<Value>("runs/log-batch", batch.clone())).await?;
        }
        Ok(())
    }

    /// Ends a run. Ended again, the last word counts.
    pub async fn end_run(&self, run: &Run, status: RunStatus) -> Result<(), RegistryError> {
        let update = json!({ "run_id": run.id, "status": status.as_str(), "end_time": now() });
        self.retry(|| self.post::<Value>("runs/update", update.clone())).await?;
        Ok(())
    }

    pub(crate) async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: Value,
    ) -> Result<T, RegistryError> {
        self.transport.call(Method::POST, path, Payload::Json(body)).await
    }

    pub(crate) async fn get<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, RegistryError> {
        self.transport.call(Method::GET, path, Payload::Query(query)).await
    }
}

/// A duplicate that is refused its end was ended by somebody else at the same moment.
pub(crate) fn taken_away(outcome: Result<(), RegistryError>) -> Result<(), RegistryError> {
    match outcome {
        Err(error) if !error.is_retryable() => {
            tracing::info!(%error, "a duplicate is gone already");
            Ok(())
        }
        other => other,
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
