use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use modloop_domain::ModelVersion;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::Row;

use super::{column, named, named_or_none};
use crate::StoreError;

/// How far a run has come: what was reached, not what is being tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Waits for its turn.
    Requested,
    /// Items are being chosen.
    Sampling,
    /// The sample is stored; labels are being asked for.
    Labelling,
    /// The data set is in S3; the job is started and awaited.
    Training,
    /// The job is done; the challenger is measured and judged.
    Evaluating,
    /// The challenger passed the gate and is in the registry.
    Registered,
    /// It scores beside the champion and decides nothing.
    Shadow,
    /// It decides for a share of the items.
    Canary,
    /// It took over.
    Champion,
    /// It was not better, or there was no ground to train.
    Rejected,
    /// It went bad on trial.
    RolledBack,
    /// Something broke that trying again does not mend.
    Failed,
}

impl RunState {
    /// All of them, in the order of a run.
    pub const ALL: [RunState; 12] = [
        Self::Requested,
        Self::Sampling,
        Self::Labelling,
        Self::Training,
        Self::Evaluating,
        Self::Registered,
        Self::Shadow,
        Self::Canary,
        Self::Champion,
        Self::Rejected,
        Self::RolledBack,
        Self::Failed,
    ];

    /// The word used in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Sampling => "sampling",
            Self::Labelling => "labelling",
            Self::Training => "training",
            Self::Evaluating => "evaluating",
            Self::Registered => "registered",
            Self::Shadow => "shadow",
            Self::Canary => "canary",
            Self::Champion => "champion",
            Self::Rejected => "rejected",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
        }
    }

    /// Whether the run is over.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Champion | Self::Rejected | Self::RolledBack | Self::Failed)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for RunState {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == word);
        known.ok_or_else(|| format!("{word:?} is no state of a run"))
    }
}

/// Who asked for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestedBy {
    /// Drift was found.
    Monitor,
    /// The calendar.
    Schedule,
    /// A person.
    Operator,
}

impl RequestedBy {
    /// The word used in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Monitor => "monitor",
            Self::Schedule => "schedule",
            Self::Operator => "operator",
        }
    }
}

impl FromStr for RequestedBy {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let all = [Self::Monitor, Self::Schedule, Self::Operator];
        all.into_iter().find(|by| by.as_str() == word).ok_or_else(|| format!("{word:?} asks for no runs"))
    }
}

/// A request for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRequest {
    /// Who asks.
    pub by: RequestedBy,
    /// Why, in words for people.
    pub reason: String,
    /// The drift episode; a second request for the same one is the same run.
    pub episode: Option<i64>,
    /// The model that drifted.
    pub model: Option<ModelVersion>,
}

/// A run as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Names it.
    pub id: i64,
    /// How far it has come.
    pub state: RunState,
    /// Who asked.
    pub requested_by: RequestedBy,
    /// Why, in words.
    pub request: String,
    /// The drift episode it answers.
    pub episode: Option<i64>,
    /// The model that drifted.
    pub requested_model: Option<ModelVersion>,
    /// The name of the model it makes; job, data set and version are named by it.
    pub challenger_version: ModelVersion,
    /// What it compares with.
    pub champion_version: Option<ModelVersion>,
    /// The settings it started with.
    pub config: Option<Value>,
    /// Labels asked, given and refused, agreement, cost.
    pub labelling: Option<Value>,
    /// The champion, measured on the labels of this run.
    pub champion_quality: Option<Value>,
    /// `s3://…/` under which the data set lies.
    pub data_set_uri: Option<String>,
    /// SHA-256 over its lines.
    pub data_set_hash: Option<String>,
    /// Its manifest.
    pub data_set: Option<Value>,
    /// The training job.
    pub job_name: Option<String>,
    /// `s3://…` of what the job made.
    pub job_artifact: Option<String>,
    /// How long the job trained.
    pub job_seconds: Option<i32>,
    /// `s3://…` of the challenger's bundle.
    pub bundle_uri: Option<String>,
    /// Every check of the gate.
    pub gate: Option<Value>,
    /// The version's number in the registry.
    pub registered_version: Option<String>,
    /// What shadow and canary showed.
    pub trial: Option<Value>,
    /// Why it is over, or what it waits for.
    pub reason: Option<String>,
    /// Since when the present step fails for a passing reason.
    pub failing_since: Option<DateTime<Utc>>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When its turn came.
    pub started_at: Option<DateTime<Utc>>,
    /// Since when it is in its state.
    pub state_since: DateTime<Utc>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What a step found out, stored with the move. What is `None` stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Progress {
    /// See [`Run`].
    pub champion_version: Option<ModelVersion>,
    /// See [`Run`].
    pub config: Option<Value>,
    /// See [`Run`].
    pub labelling: Option<Value>,
    /// See [`Run`].
    pub champion_quality: Option<Value>,
    /// See [`Run`].
    pub data_set_uri: Option<String>,
    /// See [`Run`].
    pub data_set_hash: Option<String>,
    /// See [`Run`].
    pub data_set: Option<Value>,
    /// See [`Run`].
    pub job_name: Option<String>,
    /// See [`Run`].
    pub job_artifact: Option<String>,
    /// See [`Run`].
    pub job_seconds: Option<i32>,
    /// See [`Run`].
    pub bundle_uri: Option<String>,
    /// See [`Run`].
    pub gate: Option<Value>,
    /// See [`Run`].
    pub registered_version: Option<String>,
    /// See [`Run`].
    pub trial: Option<Value>,
    /// Why the run is over; needed with a final state other than `champion`.
    pub reason: Option<String>,
}

pub(super) fn run(row: &Row) -> Result<Run, StoreError> {
    Ok(Run {
        id: column(row, "id")?,
        state: named(row, "state")?,
        requested_by: named(row, "requested_by")?,
        request: column(row, "request")?,
        episode: column(row, "episode")?,
        requested_model: named_or_none(row, "requested_model")?,
        challenger_version: named(row, "challenger_version")?,
        champion_version: named_or_none(row, "champion_version")?,
        config: column(row, "config")?,
        labelling: column(row, "labelling")?,
        champion_quality: column(row, "champion_quality")?,
        data_set_uri: column(row, "data_set_uri")?,
        data_set_hash: column(row, "data_set_hash")?,
        data_set: column(row, "data_set")?,
        job_name: column(row, "job_name")?,
        job_artifact: column(row, "job_artifact")?,
        job_seconds: column(row, "job_seconds")?,
        bundle_uri: column(row, "bundle_uri")?,
        gate: column(row, "gate")?,
        registered_version: column(row, "registered_version")?,
        trial: column(row, "trial")?,
        reason: column(row, "reason")?,
        failing_since: column(row, "failing_since")?,
        requested_at: column(row, "requested_at")?,
        started_at: column(row, "started_at")?,
        state_since: column(row, "state_since")?,
        finished_at: column(row, "finished_at")?,
    })
}
