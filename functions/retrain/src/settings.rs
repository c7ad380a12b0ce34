use std::path::PathBuf;
use std::str::FromStr;

use modloop_cloud::Network;
use modloop_environment::{EnvironmentError, optional, parsed, required};
use modloop_settings::{self as settings, Budgets, Gate, Sampling, Trials};
use modloop_store::budget::Spend;
use modloop_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// What the operator set, read and checked once at start.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Bundles go under `s3://BUCKET/bundles/`.
    pub bundles_bucket: String,
    /// Data sets and artifacts go under `s3://BUCKET/runs/`.
    pub data_bucket: String,
    /// The bundle in the function's package.
    pub shipped_bundle: PathBuf,
    /// ONNX Runtime in the function's package.
    pub runtime_library: PathBuf,
    /// Where jobs run.
    pub training: Option<Training>,
}

/// Where and how jobs run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Training {
    /// URI of the trainer's image.
    pub image: String,
    /// ARN of the role that jobs run as.
    pub role_arn: String,
    /// Such as `ml.g5.xlarge`.
    pub instance: String,
    /// Gigabytes.
    pub volume_gb: i32,
    /// After which a job is stopped.
    pub max_seconds: i32,
    /// On spot capacity: waiting and training together.
    pub spot_wait_seconds: Option<i32>,
    /// None runs jobs outside any VPC.
    pub network: Option<Network>,
    /// None uses the keys that AWS manages.
    pub kms_key: Option<String>,
}

/// What is copied into a run when it starts: a change of settings reaches the next run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSettings {
    /// Which items are labeled, and how many labels are needed.
    pub sampling: Sampling,
    /// What labeling may cost.
    pub budgets: Budgets,
    /// How strict the gate is.
    pub gate: Gate,
    /// How shadow and canary are judged.
    pub trials: Trials,
    /// When runs happen, and what the trainer is told.
    pub training: settings::Training,
    /// Which LLM labels.
    pub labeler: settings::Labeler,
}

impl RunSettings {
    /// As the operator has them now.
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        let (sampling, budgets, gate, trials, training, labeler) = futures::try_join!(
            store.settings(),
            store.settings(),
            store.settings(),
            store.settings(),
            store.settings(),
            store.settings(),
        )?;
        Ok(Self { sampling, budgets, gate, trials, training, labeler })
    }

    /// For one run.
    pub(crate) fn run_budget(&self) -> Spend {
        spend(self.budgets.run_tokens, self.budgets.run_dollars)
    }

    /// For a month.
    pub(crate) fn month_budget(&self) -> Spend {
        spend(self.budgets.month_tokens, self.budgets.month_dollars)
    }
}

fn spend(tokens: u64, dollars: f64) -> Spend {
    Spend { tokens, micros: (dollars * 1e6) as u64 }
}

impl Settings {
    /// Reads the environment; README.md lists every variable.
    pub fn from_environment() -> Result<Self, EnvironmentError> {
        let bundles_bucket =
            required("BUNDLES_BUCKET", "set it to the name of the bucket that holds model bundles")?;
        Ok(Self {
            data_bucket: optional("DATA_BUCKET")?.unwrap_or_else(|| bundles_bucket.clone()),
            bundles_bucket,
            shipped_bundle: packaged("BUNDLE_DIR", "bundle")?,
            runtime_library: packaged("ORT_DYLIB_PATH", "libonnxruntime.so")?,
            training: Training::from_environment()?,
        })
    }
}

impl Training {
    /// `None` without an image: runs then end before training, with that reason.
    fn from_environment() -> Result<Option<Self>, EnvironmentError> {
        let Some(image) = optional("TRAINING_IMAGE")? else { return Ok(None) };
        let max_seconds = parsed("TRAINING_MAX_SECONDS", Some(7200), "seconds")?;
        let spot = parsed("TRAINING_SPOT", Some(Switch(true)), "on or off")?.0;
        let wait = parsed("TRAINING_MAX_WAIT_SECONDS", Some(2 * max_seconds), "seconds")?;
        let list = |name| -> Result<Vec<String>, EnvironmentError> {
            let text = optional(name)?.unwrap_or_default();
            Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
        };
        let (subnets, security_groups) = (list("TRAINING_SUBNET_IDS")?, list("TRAINING_SECURITY_GROUP_IDS")?);
        Ok(Some(Self {
            image,
            role_arn: required("SAGEMAKER_ROLE_ARN", "set it to the role that training jobs run as")?,
            instance: optional("TRAINING_INSTANCE")?.unwrap_or_else(|| "ml.g5.xlarge".into()),
            volume_gb: parsed("TRAINING_VOLUME_GB", Some(30), "gigabytes")?,
            max_seconds,
            // Less than the training time itself is refused by SageMaker.
            spot_wait_seconds: spot.then_some(wait.max(max_seconds)),
            network: (!subnets.is_empty()).then_some(Network { subnets, security_groups }),
            kms_key: optional("TRAINING_KMS_KEY")?,
        }))
    }
}

struct Switch(bool);

impl FromStr for Switch {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "on" | "true" => Ok(Self(true)),
            "off" | "false" => Ok(Self(false)),
            _ => Err(()),
        }
    }
}

/// A path that a variable may set; without it, a file of the function's own package.
fn packaged(variable: &str, name: &str) -> Result<PathBuf, EnvironmentError> {
    match optional(variable)? {
        Some(path) => Ok(path.into()),
        None => {
            let advice = format!("Lambda sets it; elsewhere set {variable}");
            required("LAMBDA_TASK_ROOT", &advice).map(|root| PathBuf::from(root).join(name))
        }
    }
}
