//! training.json: how a checkpoint came about, kept beside its weights.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use modloop_domain::{Label, ModelVersion};

use crate::TrainError;
use crate::augment::Augmentation;
use crate::mix::Mix;
use crate::train::Settings;

/// Everything needed to tell where a checkpoint comes from, and to train it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// In the order of the head's outputs.
    pub labels: Vec<Label>,
    /// The model that was pre-trained.
    pub base_model: BaseModel,
    /// The bundle that training went on from, where it did not start at the base model.
    #[serde(default)]
    pub parent: Option<ModelVersion>,
    /// What it learnt from, the parent's sources included.
    pub data_sources: Vec<DataSource>,
    /// Of all lines as they were trained on, in hexadecimal.
    #[serde(default)]
    pub data_sha256: String,
    /// All settings of the run.
    pub hyperparameters: Hyperparameters,
    /// Decides the draw of lines, their order and the fresh weights.
    pub seed: u64,
    /// Optimiser steps done, and planned in all.
    pub steps: Steps,
    /// Mean loss of the last hundred steps.
    pub loss: f64,
    /// Measures on the dev set, `null` in a checkpoint from the middle of an epoch.
    pub dev: Value,
}

impl TrainingRecord {
    /// Reads training.json of a checkpoint.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let bytes = std::fs::read(path).map_err(TrainError::io("read", path))?;
        serde_json::from_slice(&bytes).map_err(TrainError::base(path))
    }
}

/// What was chosen for a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hyperparameters {
    /// Of the loop and the optimiser.
    #[serde(flatten)]
    pub settings: Settings,
    /// Share of units and attention weights dropped.
    pub dropout: f64,
    /// Which lines taught which label.
    pub mix: Mix,
    /// Whether the program's own sentences were among them.
    #[serde(default)]
    pub templates: bool,
    /// How texts were changed.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// Share of older lines in each epoch that was asked for.
    #[serde(default)]
    pub replay_share: f64,
}

/// The checkpoint that training started from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaseModel {
    /// As its publisher calls it.
    pub name: String,
    /// SPDX identifier.
    pub licence: String,
    /// Of model.safetensors, in hexadecimal.
    pub sha256: String,
}

/// One data set and how much of it was used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSource {
    /// As in the data's `source` field.
    pub name: String,
    /// SPDX identifier, or what is known.
    pub licence: String,
    /// Lines trained on.
    pub lines: usize,
}

/// How far training went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    /// Done.
    pub done: usize,
    /// Planned.
    pub planned: usize,
}

/// SHA-256 of a file, in hexadecimal.
pub fn sha256(path: &Path) -> Result<String, TrainError> {
    let mut file = std::fs::File::open(path).map_err(TrainError::io("open", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).map_err(TrainError::io("read", path))? {
            0 => return Ok(hex::encode(hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}
