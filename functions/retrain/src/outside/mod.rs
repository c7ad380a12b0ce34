//! What lies outside: S3, SageMaker, the labeler, MLflow, models at work. Each is a trait with the few calls
//! that a run makes, so that tests can cut every one of them off before and after it takes effect.

mod budget;
mod labels;
mod measure;
mod registry;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use modloop_bundle::Bundle;
use modloop_cloud::{BundleStorage, CloudError, JobStatus, TrainingJob, TrainingJobs};
use modloop_domain::{Label, ModelVersion};
use modloop_evaluation::DevLine;
use modloop_labeler::{Outcome, Unlabeled};
use modloop_registry::{RegistryError, RunInfo};

use crate::RetrainError;

pub use budget::RunBudget;
pub use labels::LlmLabeler;
pub use measure::{Measurement, ServedModels};
pub use registry::{Mlflow, NoRegistry};

/// Everything outside.
#[derive(Clone)]
pub struct Outside {
    /// S3.
    pub files: Arc<dyn Files>,
    /// SageMaker.
    pub jobs: Arc<dyn Jobs>,
    /// The LLM; without one only people label.
    pub labeler: Option<Arc<dyn LabelTexts>>,
    /// MLflow.
    pub registry: Arc<dyn KeepModels>,
    /// ONNX Runtime.
    pub models: Arc<dyn Measure>,
}

/// Objects by `s3://…`.
#[async_trait(?Send)]
pub trait Files {
    /// Stores a file in the place of what is there.
    async fn upload(&self, file: &Path, uri: &str) -> Result<(), CloudError>;
    /// Whether there is an object.
    async fn exists(&self, uri: &str) -> Result<bool, CloudError>;
    /// Writes an object to a file.
    async fn download(&self, uri: &str, file: &Path) -> Result<(), CloudError>;
}

/// Training jobs by name.
#[async_trait(?Send)]
pub trait Jobs {
    /// Starts a job; `false` where one of this name is there already.
    async fn create(&self, job: &TrainingJob) -> Result<bool, CloudError>;
    /// How a job stands; `None` where there is none.
    async fn describe(&self, name: &str) -> Result<Option<JobStatus>, CloudError>;
    /// Stops a job; one that is over or was never started is stopped already.
    async fn stop(&self, name: &str) -> Result<(), CloudError>;
}

/// Labels for texts.
#[async_trait(?Send)]
pub trait LabelTexts {
    /// One outcome for each text, nothing spent beyond the budget.
    async fn label(
        &self,
        settings: &modloop_settings::Labeler,
        texts: Vec<Unlabeled>,
        labels: &[Label],
        budget: &RunBudget<'_>,
    ) -> Vec<Outcome>;
}

/// Models with versions and aliases, for people to look at.
#[async_trait(?Send)]
pub trait KeepModels {
    /// Records a bundle as one run and one version, however often it is called; gives the version's number.
    async fn register(&self, bundle: &Bundle, info: &RunInfo) -> Result<String, RegistryError>;
    /// Whether the version is there.
    async fn knows(&self, version: &ModelVersion) -> Result<bool, RegistryError>;
    /// Lets the aliases say what inference does.
    async fn point(
        &self,
        champion: &ModelVersion,
        challenger: Option<&ModelVersion>,
    ) -> Result<(), RegistryError>;
}

/// Models at work, exactly as they are served.
pub trait Measure: Send + Sync {
    /// Scores the lines and everything the gate wants to know of a model. Takes seconds of all cores.
    fn measure(&self, bundle: &Bundle, lines: &[DevLine]) -> Result<Measurement, RetrainError>;
}

#[async_trait(?Send)]
impl Files for BundleStorage {
    async fn upload(&self, file: &Path, uri: &str) -> Result<(), CloudError> {
        BundleStorage::upload(self, file, uri).await
    }

    async fn exists(&self, uri: &str) -> Result<bool, CloudError> {
        BundleStorage::exists(self, uri).await
    }

    async fn download(&self, uri: &str, file: &Path) -> Result<(), CloudError> {
        BundleStorage::download(self, uri, file).await
    }
}

#[async_trait(?Send)]
impl Jobs for TrainingJobs {
    async fn create(&self, job: &TrainingJob) -> Result<bool, CloudError> {
        TrainingJobs::create(self, job).await
    }

    async fn describe(&self, name: &str) -> Result<Option<JobStatus>, CloudError> {
        TrainingJobs::describe(self, name).await
    }

    async fn stop(&self, name: &str) -> Result<(), CloudError> {
        TrainingJobs::stop(self, name).await
    }
}
