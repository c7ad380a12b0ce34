//! A training job: what was asked, and how far it got.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// `TrainingJobStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    InProgress,
    Completed,
    Failed,
    Stopping,
    Stopped,
}

/// A job as it is kept on disk, so that it outlives this process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The body of `CreateTrainingJob`.
    pub(crate) request: Value,
    pub(crate) status: Status,
    /// `SecondaryStatus`: Starting, Downloading, Training, Uploading and so on.
    pub(crate) secondary: String,
    pub(crate) failure: Option<String>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) changed: DateTime<Utc>,
    pub(crate) started: Option<DateTime<Utc>>,
    pub(crate) ended: Option<DateTime<Utc>>,
}

impl Job {
    pub(crate) fn new(request: Value) -> Self {
        let now = Utc::now();
        Self {
            request,
            status: Status::InProgress,
            secondary: "Starting".to_owned(),
            failure: None,
            created: now,
            changed: now,
            started: None,
            ended: None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.request["TrainingJobName"].as_str().unwrap_or_default()
    }

    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:sagemaker:us-east-1:000000000000:training-job/{}", self.name())
    }

    /// Where the bundle goes.
    pub(crate) fn model_uri(&self) -> String {
        let place = self.request["OutputDataConfig"]["S3OutputPath"].as_str().unwrap_or_default();
        format!("{}/{}/output/model.tar.gz", place.trim_end_matches('/'), self.name())
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status, Status::Completed | Status::Failed | Status::Stopped)
    }

    /// The answer to `DescribeTrainingJob`. Times are seconds since 1970, as JSON 1.1 has them.
    pub(crate) fn description(&self) -> Value {
        let mut all = self.request.clone();
        let seconds = |time: DateTime<Utc>| json!(time.timestamp_millis() as f64 / 1000.0);
        all["TrainingJobArn"] = json!(self.arn());
        all["TrainingJobStatus"] = json!(self.status);
        all["SecondaryStatus"] = json!(self.secondary);
        all["CreationTime"] = seconds(self.created);
        all["LastModifiedTime"] = seconds(self.changed);
        if let Some(failure) = &self.failure {
            all["FailureReason"] = json!(failure);
        }
        if self.status == Status::Completed {
            all["ModelArtifacts"] = json!({"S3ModelArtifacts": self.model_uri()});
        }
        if let Some(started) = self.started {
            all["TrainingStartTime"] = seconds(started);
            if let Some(ended) = self.ended {
                all["TrainingEndTime"] = seconds(ended);
                let took = json!((ended - started).num_seconds());
                all["TrainingTimeInSeconds"] = took.clone();
                all["BillableTimeInSeconds"] = took;
            }
        }
        all
    }

    /// The body of the EventBridge event for the present state. Its detail is the description, but for times, which
    /// are milliseconds there.
    pub(crate) fn event(&self) -> Value {
        let mut detail = self.description();
        for name in ["CreationTime", "LastModifiedTime", "TrainingStartTime", "TrainingEndTime"] {
            if let Some(seconds) = detail[name].as_f64() {
                detail[name] = json!((seconds * 1000.0) as i64);
            }
        }
        json!({
            "version": "0",
            "id": format!("{}-{}", self.name(), self.changed.timestamp_millis()),
            "detail-type": "SageMaker Training Job State Change",
            "source": "aws.sagemaker",
            "account": "000000000000",
            "time": self.changed.to_rfc3339(),
            "region": "us-east-1",
            "resources": [self.arn()],
            "detail": detail,
        })
    }

    /// Writes the job down, whole or not at all.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let file = file(folder);
        let part = file.with_extension("part");
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        std::fs::write(&part, serde_json::to_vec_pretty(self)?)
            .and_then(|()| std::fs::rename(&part, &file))
            .with_context(|| format!("write {}", file.display()))
    }

    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let file = file(folder);
        let bytes = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is no training job", file.display()))
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("job.json")
}
