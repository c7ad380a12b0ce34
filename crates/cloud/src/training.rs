use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_sagemaker::Client;
use aws_sdk_sagemaker::error::ProvideErrorMetadata;
use aws_sdk_sagemaker::types::{
    AlgorithmSpecification, Channel, CheckpointConfig, DataSource, MetricDefinition, OutputDataConfig,
    ResourceConfig, S3DataDistribution, S3DataSource, S3DataType, StoppingCondition, Tag, TrainingInputMode,
    TrainingInstanceType, TrainingJobStatus, VpcConfig,
};

use crate::CloudError;

/// A training job as `CreateTrainingJob` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainingJob {
    /// Unique for good in an account and region: a second job of this name is refused.
    pub name: String,
    /// URI of the container image.
    pub image: String,
    /// ARN of the role that the job runs as.
    pub role_arn: String,
    /// Such as `ml.g5.xlarge`.
    pub instance: String,
    /// Of the volume that data and model lie on.
    pub volume_gb: i32,
    /// After which the job is stopped.
    pub max_seconds: i32,
    /// Interruptible capacity.
    pub spot: Option<Spot>,
    /// Name and `s3://…` prefix or object of each input.
    pub channels: BTreeMap<String, String>,
    /// `s3://…` prefix that the artifact goes under.
    pub output_uri: String,
    /// All values are texts.
    pub hyperparameters: BTreeMap<String, String>,
    /// Name of a metric and the expression that finds it in the log.
    pub metrics: BTreeMap<String, String>,
    /// Where the job's network interfaces are; none runs it outside any VPC.
    pub network: Option<Network>,
    /// Encrypts volume and artifact; none uses the keys that AWS manages.
    pub kms_key: Option<String>,
    /// For bills and for people.
    pub tags: BTreeMap<String, String>,
}

/// Capacity that may be taken away; the job goes on from its checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Waiting and training together; at least the job's own limit.
    pub longest_wait_seconds: i32,
    /// `s3://…` prefix of the checkpoints.
    pub checkpoint_uri: String,
}

/// Subnets and security groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Private ones, with a way to S3.
    pub subnets: Vec<String>,
    /// At least one.
    pub security_groups: Vec<String>,
}

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStatus {
    /// Not over; the word says with what it is busy.
    Running(String),
    /// The artifact lies there.
    Completed {
        /// `s3://…/model.tar.gz`.
        artifact: String,
        /// Training time that is billed.
        seconds: i32,
    },
    /// Over without an artifact, for a reason.
    Ended(String),
}

/// SageMaker's training jobs.
#[derive(Debug, Clone)]
pub struct TrainingJobs {
    client: Client,
}

impl TrainingJobs {
    /// Uses the endpoint of `AWS_ENDPOINT_URL` where it is set.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// Starts the job. One of this name that is there already is this job: `false`.
    pub async fn create(&self, job: &TrainingJob) -> Result<bool, CloudError> {
        let mut call = self
            .client
            .create_training_job()
            .training_job_name(&job.name)
            .role_arn(&job.role_arn)
            .algorithm_specification(algorithm(job))
            .output_data_config(output(job))
            .resource_config(resources(job))
            .stopping_condition(stopping(job))
            .enable_managed_spot_training(job.spot.is_some())
            .set_hyper_parameters(Some(job.hyperparameters.clone().into_iter().collect()))
            .set_input_data_config(Some(job.channels.iter().map(channel).collect()))
            .set_vpc_config(job.network.as_ref().map(network));
        if let Some(spot) = &job.spot {
            call = call.checkpoint_config(CheckpointConfig::builder().s3_uri(&spot.checkpoint_uri).build());
        }
        for (key, value) in &job.tags {
            call = call.tags(Tag::builder().key(key).value(value).build());
        }
        match call.send().await {
            Ok(_started) => Ok(true),
            Err(error) if error.code() == Some("ResourceInUse") => Ok(false),
            Err(error) => Err(CloudError::from_sdk(format!("training job {}", job.name), error)),
        }
    }

    /// How the job stands; `None` when there is none of this name.
    pub async fn describe(&self, name: &str) -> Result<Option<JobStatus>, CloudError> {
        let what = || format!("training job {name}");
        let answer = match self.client.describe_training_job().training_job_name(name).send().await {
            Ok(answer) => answer,
            // SageMaker has no error of its own for a job that does not exist.
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(CloudError::from_sdk(what(), error)),
        };
        let busy = answer.secondary_status().map(|status| status.as_str()).unwrap_or("Starting").to_owned();
        let artifact = answer.model_artifacts().and_then(|artifacts| artifacts.s3_model_artifacts());
        Ok(Some(match answer.training_job_status() {
            Some(TrainingJobStatus::Completed) => JobStatus::Completed {
                artifact: artifact.map(str::to_owned).ok_or_else(|| CloudError::Unexpected {
                    what: what(),
                    reason: "it is completed and names no artifact".into(),
                })?,
                seconds: answer.training_time_in_seconds().unwrap_or_default(),
            },
            Some(status @ (TrainingJobStatus::Failed | TrainingJobStatus::Stopped)) => {
                let reason = answer.failure_reason().unwrap_or("no reason is given");
                JobStatus::Ended(format!("{}: {reason}", status.as_str()))
            }
            _ => JobStatus::Running(busy),
        }))
    }

    /// Asks for the end of a job that is under way; one that is over or unknown is left alone.
    pub async fn stop(&self, name: &str) -> Result<(), CloudError> {
        match self.client.stop_training_job().training_job_name(name).send().await {
            Ok(_asked) => Ok(()),
            Err(error) if error.code() == Some("ValidationException") => Ok(()),
            Err(error) => Err(CloudError::from_sdk(format!("stopping training job {name}"), error)),
        }
    }
}

fn is_missing(error: &impl ProvideErrorMetadata) -> bool {
    error.code() == Some("ResourceNotFound")
        || error.code() == Some("ValidationException")
            && error.message().is_some_and(|message| message.contains("not found"))
}

fn algorithm(job: &TrainingJob) -> AlgorithmSpecification {
    let metric =
        |(name, regex): (&String, &String)| MetricDefinition::builder().name(name).regex(regex).build();
    AlgorithmSpecification::builder()
        .training_image(&job.image)
        .training_input_mode(TrainingInputMode::File)
        .set_metric_definitions(Some(job.metrics.iter().map(metric).collect()))
        .build()
}

fn output(job: &TrainingJob) -> OutputDataConfig {
    let kms_key = job.kms_key.clone();
    OutputDataConfig::builder().s3_output_path(&job.output_uri).set_kms_key_id(kms_key).build()
}

fn resources(job: &TrainingJob) -> ResourceConfig {
    ResourceConfig::builder()
        .instance_type(TrainingInstanceType::from(job.instance.as_str()))
        .instance_count(1)
        .volume_size_in_gb(job.volume_gb)
        .set_volume_kms_key_id(job.kms_key.clone())
        .build()
}

fn stopping(job: &TrainingJob) -> StoppingCondition {
    StoppingCondition::builder()
        .max_runtime_in_seconds(job.max_seconds)
        .set_max_wait_time_in_seconds(job.spot.as_ref().map(|spot| spot.longest_wait_seconds))
        .build()
}

fn channel((name, uri): (&String, &String)) -> Channel {
    let source = S3DataSource::builder()
        .s3_data_type(S3DataType::S3Prefix)
        .s3_data_distribution_type(S3DataDistribution::FullyReplicated)
        .s3_uri(uri)
        .build();
    Channel::builder()
        .channel_name(name)
        .data_source(DataSource::builder().s3_data_source(source).build())
        .build()
}

fn network(network: &Network) -> VpcConfig {
    VpcConfig::builder()
        .set_subnets(Some(network.subnets.clone()))
        .set_security_group_ids(Some(network.security_groups.clone()))
        .build()
}
