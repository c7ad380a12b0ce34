use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use modloop_cloud::Network;
use modloop_environment::{EnvironmentError, optional, parsed, required};
use modloop_gate::{Policy, TrialPolicy};
use modloop_sampling::GoldShare;
use modloop_store::Spend;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What the operator set, read and checked once at start.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The operator states that texts may be trained on.
    pub permission: bool,
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
    /// What a run starts with.
    pub run: RunSettings,
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
    pub longest_seconds: i32,
    /// On spot capacity: waiting and training together.
    pub spot_wait_seconds: Option<i32>,
    /// None runs jobs outside any VPC.
    pub network: Option<Network>,
    /// None uses the keys that AWS manages.
    pub kms_key: Option<String>,
}

/// What is copied into a run when it starts: a change of parameters reaches the next run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSettings {
    /// Items to label.
    pub sample_items: usize,
    /// How far back they may be posted.
    pub lookback_hours: u32,
    /// Newest items of a subreddit to choose from.
    pub candidates: u32,
    /// Share of items that is never trained on.
    pub gold_share: f64,
    /// Share of older labels in the data set.
    pub replay_share: f64,
    /// For labelling one run.
    pub run_budget: Spend,
    /// For labelling in a month.
    pub month_budget: Spend,
    /// Cohen's kappa between labeller and people under which a run stops.
    pub least_agreement: f64,
    /// Labels in common from which on agreement is judged.
    pub agreement_labels: u64,
    /// Texts with and without each label that a data set needs.
    pub least_class: usize,
    /// The same of the gold set.
    pub least_gold_class: usize,
    /// Share of items that a model in shadow scores.
    pub shadow_share: f32,
    /// Share of items that a model in canary decides.
    pub canary_share: f32,
    /// Hours that a step may fail for passing reasons before the run fails.
    pub patience_hours: f64,
    /// A run without a request after so many days; 0 never.
    pub every_days: f64,
    /// Passed to the trainer.
    pub hyperparameters: BTreeMap<String, String>,
    /// How strict the gate is.
    pub gate: Policy,
    /// How shadow is judged.
    pub shadow: TrialPolicy,
    /// How canary is judged.
    pub canary: TrialPolicy,
}

impl Default for RunSettings {
    fn default() -> Self {
        let dollars = |dollars: u64| dollars * 1_000_000;
        Self {
            sample_items: 1000,
            lookback_hours: 14 * 24,
            candidates: 5000,
            gold_share: 0.3,
            replay_share: 0.5,
            run_budget: Spend { tokens: 3_000_000, micros: dollars(2) },
            month_budget: Spend { tokens: 10_000_000, micros: dollars(10) },
            least_agreement: 0.5,
            agreement_labels: 30,
            least_class: 20,
            least_gold_class: 5,
            shadow_share: 1.0,
            canary_share: 0.1,
            patience_hours: 24.0,
            every_days: 0.0,
            hyperparameters: BTreeMap::new(),
            gate: Policy::default(),
            shadow: TrialPolicy::default(),
            canary: TrialPolicy::default(),
        }
    }
}

impl RunSettings {
    /// What is inconsistent, if anything.
    fn problem(&self) -> Option<&'static str> {
        let share = |share: f64| (0.0..=1.0).contains(&share);
        if GoldShare::new(self.gold_share).is_err() {
            Some("gold_share must be more than 0 and less than 1")
        } else if !share(self.replay_share) || self.replay_share > 0.95 {
            Some("replay_share must be from 0 to 0.95")
        } else if !share(self.shadow_share.into()) || !share(self.canary_share.into()) {
            Some("shadow_share and canary_share must be from 0 to 1")
        } else if self.sample_items == 0 || self.least_gold_class == 0 || self.least_class == 0 {
            Some("sample_items, least_class and least_gold_class must be at least 1")
        } else {
            None
        }
    }

    /// Every `RETRAIN_*` variable, and what is set in none of them as it was.
    fn with_environment(self) -> Result<Self, EnvironmentError> {
        let dollars = |name: &str, default: u64| {
            let default = default as f64 / 1e6;
            parsed(name, Some(default), "dollars").map(|dollars: f64| (dollars.max(0.0) * 1e6) as u64)
        };
        let (run, month) = (self.run_budget, self.month_budget);
        let number = "a number";
        Ok(Self {
            sample_items: parsed("RETRAIN_SAMPLE_ITEMS", Some(self.sample_items), number)?,
            lookback_hours: parsed("RETRAIN_LOOKBACK_HOURS", Some(self.lookback_hours), "whole hours")?,
            candidates: parsed("RETRAIN_CANDIDATES", Some(self.candidates), number)?,
            gold_share: parsed("RETRAIN_GOLD_SHARE", Some(self.gold_share), "a share such as 0.3")?,
            replay_share: parsed("RETRAIN_REPLAY_SHARE", Some(self.replay_share), "a share such as 0.5")?,
            run_budget: Spend {
                tokens: parsed("RETRAIN_RUN_TOKENS", Some(run.tokens), number)?,
                micros: dollars("RETRAIN_RUN_DOLLARS", run.micros)?,
            },
            month_budget: Spend {
                tokens: parsed("RETRAIN_MONTH_TOKENS", Some(month.tokens), number)?,
                micros: dollars("RETRAIN_MONTH_DOLLARS", month.micros)?,
            },
            least_agreement: parsed("RETRAIN_LEAST_AGREEMENT", Some(self.least_agreement), "a kappa")?,
            agreement_labels: parsed("RETRAIN_AGREEMENT_LABELS", Some(self.agreement_labels), number)?,
            least_class: parsed("RETRAIN_LEAST_CLASS", Some(self.least_class), number)?,
            least_gold_class: parsed("RETRAIN_LEAST_GOLD_CLASS", Some(self.least_gold_class), number)?,
            shadow_share: parsed("RETRAIN_SHADOW_SHARE", Some(self.shadow_share), "a share such as 1")?,
            canary_share: parsed("RETRAIN_CANARY_SHARE", Some(self.canary_share), "a share such as 0.1")?,
            patience_hours: parsed("RETRAIN_PATIENCE_HOURS", Some(self.patience_hours), "hours")?,
            every_days: parsed("RETRAIN_EVERY_DAYS", Some(self.every_days), "days, 0 for never")?,
            hyperparameters: json(
                "TRAINING_HYPERPARAMETERS",
                self.hyperparameters,
                "a JSON object of texts",
            )?,
            gate: json("RETRAIN_GATE", self.gate, "a JSON object with fields of the gate's policy")?,
            shadow: json("RETRAIN_SHADOW", self.shadow, "a JSON object with fields of a trial's policy")?,
            canary: json("RETRAIN_CANARY", self.canary, "a JSON object with fields of a trial's policy")?,
        })
    }
}

impl Settings {
    /// Reads the environment; README.md lists every variable.
    pub fn from_environment() -> Result<Self, EnvironmentError> {
        let bundles_bucket =
            required("BUNDLES_BUCKET", "set it to the name of the bucket that holds model bundles")?;
        let run = RunSettings::default().with_environment()?;
        if let Some(problem) = run.problem() {
            return Err(EnvironmentError::Unusable { name: "RETRAIN_*".into(), expects: problem.into() });
        }
        Ok(Self {
            permission: parsed("TRAINING_PERMISSION", Some(Switch(false)), "on or off")?.0,
            data_bucket: optional("DATA_BUCKET")?.unwrap_or_else(|| bundles_bucket.clone()),
            bundles_bucket,
            shipped_bundle: packaged("BUNDLE_DIR", "bundle")?,
            runtime_library: packaged("ORT_DYLIB_PATH", "libonnxruntime.so")?,
            training: Training::from_environment()?,
            run,
        })
    }
}

impl Training {
    /// `None` without an image: runs then end before training, with that reason.
    fn from_environment() -> Result<Option<Self>, EnvironmentError> {
        let Some(image) = optional("TRAINING_IMAGE")? else { return Ok(None) };
        let longest_seconds = parsed("TRAINING_LONGEST_SECONDS", Some(7200), "seconds")?;
        let spot = parsed("TRAINING_SPOT", Some(Switch(true)), "on or off")?.0;
        let wait = parsed("TRAINING_LONGEST_WAIT_SECONDS", Some(2 * longest_seconds), "seconds")?;
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
            longest_seconds,
            // Less than the training time itself is refused by SageMaker.
            spot_wait_seconds: spot.then_some(wait.max(longest_seconds)),
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

fn json<T: DeserializeOwned>(name: &str, default: T, expects: &str) -> Result<T, EnvironmentError> {
    match optional(name)? {
        None => Ok(default),
        Some(text) => serde_json::from_str(&text)
            .map_err(|_| EnvironmentError::Unusable { name: name.into(), expects: expects.into() }),
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
