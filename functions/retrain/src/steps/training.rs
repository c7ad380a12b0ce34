use std::collections::BTreeMap;

use modloop_cloud::{JobStatus, Spot, TrainingJob};
use modloop_domain::Label;
use modloop_domain::RunState;
use modloop_store::runs::RunUpdate;
use serde_json::json;

use super::{Step, Work};
use crate::{RetrainError, Training, bundles};

/// Names of the metrics that the trainer writes, and how to find them in its log.
const METRICS: [(&str, &str); 2] =
    [("dev:macro_f1", "dev:macro_f1=([0-9.]+)"), ("train:loss", "train:loss=([0-9.]+)")];

impl Work<'_> {
    /// Starts the run's job unless it is there, and looks how it stands.
    pub(super) async fn train(&self) -> Result<Step, RetrainError> {
        let name = self.needed(&self.run.job_name, "job_name")?;
        match self.context.outside.jobs.describe(name).await? {
            None => {
                let job = self.job(name).await?;
                let started = self.context.outside.jobs.create(&job).await?;
                tracing::info!(run = self.run.id, job = name, started, "a training job");
                let facts = json!({"job": name, "instance": job.instance, "channels": job.channels});
                let (run, database) = (self.run.id, &self.context.database);
                database.ask(async |store| store.tell(run, "the job was started", &facts).await).await?;
                Ok(Step::Waits(format!("job {name} was started")))
            }
            Some(JobStatus::Running(busy)) => Ok(Step::Waits(format!("job {name}: {busy}"))),
            Some(JobStatus::Ended(reason)) => {
                let reason = format!("job {name} ended without a model. {reason}");
                self.end(RunState::Failed, &reason, RunUpdate::default()).await
            }
            Some(JobStatus::Completed { artifact, seconds }) => {
                let facts = json!({"artifact": artifact, "seconds": seconds});
                let progress = RunUpdate {
                    job_artifact: Some(artifact),
                    job_seconds: Some(seconds),
                    ..RunUpdate::default()
                };
                self.move_to(RunState::Evaluating, "the job is done", &progress, &facts).await
            }
        }
    }

    /// No dots and at most 63 characters, as SageMaker wants it.
    pub(super) fn job_name(&self) -> String {
        format!("modloop-{}", self.run.challenger_version)
    }

    async fn job(&self, name: &str) -> Result<TrainingJob, RetrainError> {
        let Training {
            image,
            role_arn,
            instance,
            volume_gb,
            max_seconds,
            spot_wait_seconds,
            network,
            kms_key,
        } = self.needed(&self.context.settings.training, "TRAINING_IMAGE")?.clone();
        let uri = self.needed(&self.run.data_set_uri, "data_set_uri")?;
        let checkpoint_uri = format!("{uri}checkpoints/");
        Ok(TrainingJob {
            name: name.to_owned(),
            image,
            role_arn,
            instance,
            volume_gb,
            max_seconds,
            spot: spot_wait_seconds.map(|longest_wait_seconds| Spot { longest_wait_seconds, checkpoint_uri }),
            channels: self.channels(uri).await?,
            output_uri: format!("{uri}output/"),
            hyperparameters: self.hyperparameters(&self.labels().await?),
            metrics: METRICS.map(|(name, regex)| (name.to_owned(), regex.to_owned())).into(),
            network,
            kms_key,
            tags: BTreeMap::from([
                ("modloop:run".to_owned(), self.run.id.to_string()),
                ("modloop:version".to_owned(), self.run.challenger_version.to_string()),
            ]),
        })
    }

    /// A prefix without objects is refused, so parts without texts are left out.
    async fn channels(&self, uri: &str) -> Result<BTreeMap<String, String>, RetrainError> {
        let manifest = self.needed(&self.run.data_set, "data_set")?;
        let holds = |part: &&str| manifest["parts"][*part]["texts"].as_u64().unwrap_or_default() > 0;
        let parts = ["train", "replay", "dev"].into_iter().filter(holds);
        let mut channels: BTreeMap<String, String> =
            parts.map(|part| (part.to_owned(), format!("{uri}{part}/"))).collect();
        channels.insert("model".into(), bundles::stored(self.context, self.champion()?).await?);
        Ok(channels)
    }

    fn hyperparameters(&self, labels: &[Label]) -> BTreeMap<String, String> {
        let labels: Vec<&str> = labels.iter().map(Label::as_str).collect();
        let mut all = self.settings.training.hyperparameters.clone();
        all.insert("version".into(), self.run.challenger_version.to_string());
        all.insert("labels".into(), labels.join(","));
        // The data set holds as many older lines as the share asks for; the trainer mixes each epoch by it.
        all.entry("replay_share".into()).or_insert_with(|| self.settings.sampling.replay_share.to_string());
        all
    }
}
