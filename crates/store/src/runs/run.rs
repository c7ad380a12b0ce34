use chrono::{DateTime, Utc};
use modloop_domain::{ModelVersion, RequestedBy, RunState};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;

use crate::StoreError;
use crate::row::{column, parsed, parsed_or_none};

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
    pub labeling: Option<Value>,
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
    /// Who asked to stop it, if anybody did: the next step stops it.
    pub stop_requested_by: Option<String>,
}

/// What a step found out, stored with the move. Fields that are `None` stay as they were.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RunUpdate {
    /// See [`Run`].
    pub champion_version: Option<ModelVersion>,
    /// See [`Run`].
    pub config: Option<Value>,
    /// See [`Run`].
    pub labeling: Option<Value>,
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

/// What a move of a run writes.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// What the step found out.
    pub update: &'a RunUpdate,
    /// In words, for the story and the audit log.
    pub what: &'a str,
    /// With numbers.
    pub facts: &'a Value,
}

pub(crate) fn run(row: &Row) -> Result<Run, StoreError> {
    Ok(Run {
        id: column(row, "id")?,
        state: parsed(row, "state")?,
        requested_by: parsed(row, "requested_by")?,
        request: column(row, "request")?,
        episode: column(row, "episode")?,
        requested_model: parsed_or_none(row, "requested_model")?,
        challenger_version: parsed(row, "challenger_version")?,
        champion_version: parsed_or_none(row, "champion_version")?,
        config: column(row, "config")?,
        labeling: column(row, "labeling")?,
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
        stop_requested_by: column(row, "stop_requested_by")?,
    })
}
