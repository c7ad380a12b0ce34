//! Checkpoints in Hugging Face layout: config.json, model.safetensors, tokenizer.json, training.json.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tch::{Device, Kind, Tensor};

use modloop_domain::Label;

use crate::TrainError;
use crate::bert::Classifier;
use crate::config::{self, BertConfig};
use crate::record::TrainingRecord;
use crate::tokens::TextTokenizer;
use crate::weights::{self, Head};

/// How a checkpoint came about.
pub const RECORD: &str = "training.json";

/// Where checkpoints of one run are written. The directory always holds the newest complete one.
#[derive(Debug)]
pub struct CheckpointDir {
    out: PathBuf,
    config: Value,
    tokenizer: Value,
}

impl CheckpointDir {
    /// Checkpoints go to `out`, made from the base model's config.json and tokenizer.json.
    pub fn new(out: &Path, base_config: &Value, labels: &[Label], tokenizer: &TextTokenizer) -> Self {
        Self {
            out: out.to_owned(),
            config: config::with_labels(base_config, labels),
            tokenizer: tokenizer.json().clone(),
        }
    }

    /// Writes beside the last checkpoint and then takes its place, so that a crash loses neither.
    ///
    /// Should the process die between the two renames, the last one is left as `<out>.previous`.
    pub fn save(&self, model: &Classifier, record: &TrainingRecord) -> Result<(), TrainError> {
        let partial = beside(&self.out, ".partial");
        let previous = beside(&self.out, ".previous");
        remove(&partial)?;
        let written = self.write_to(&partial, model, record);
        if written.is_err() {
            // What is half-written only takes room; why it failed is what matters.
            let _ = remove(&partial);
        }
        written?;
        remove(&previous)?;
        if self.out.exists() {
            fs::rename(&self.out, &previous).map_err(TrainError::io("replace", &self.out))?;
        }
        fs::rename(&partial, &self.out).map_err(TrainError::io("create", &self.out))?;
        remove(&previous)
    }

    /// Writes the files of a checkpoint into the folder `dir`, which is made.
    pub(crate) fn write_to(
        &self,
        dir: &Path,
        model: &Classifier,
        record: &TrainingRecord,
    ) -> Result<(), TrainError> {
        fs::create_dir_all(dir).map_err(TrainError::io("create", dir))?;
        write_json(&dir.join("config.json"), &self.config)?;
        write_json(&dir.join("tokenizer.json"), &self.tokenizer)?;
        write_json(&dir.join(RECORD), record)?;
        write_weights(model, &dir.join("model.safetensors"))
    }
}

/// `path` with `suffix` behind its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}

pub(crate) fn remove(dir: &Path) -> Result<(), TrainError> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(TrainError::io("remove", dir)(e)),
        _ => Ok(()),
    }
}

pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), TrainError> {
    let text = serde_json::to_string_pretty(value).map_err(|e| TrainError::io("write", path)(e.into()))?;
    fs::write(path, text + "\n").map_err(TrainError::io("write", path))
}

fn write_weights(model: &Classifier, path: &Path) -> Result<(), TrainError> {
    let on_cpu = |(name, tensor): (String, Tensor)| {
        Ok((name, tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?))
    };
    let tensors = model.store().variables().into_iter().map(on_cpu);
    let tensors: Vec<(String, Tensor)> = tensors.collect::<Result<_, TrainError>>()?;
    Tensor::write_safetensors(&tensors, path).map_err(TrainError::write(path))
}

/// Loads a fine-tuned checkpoint, head included; its labels come from config.json.
pub fn open(dir: &Path, device: Device) -> Result<(Classifier, BertConfig, Vec<Label>), TrainError> {
    let path = dir.join("config.json");
    let (config, whole) = BertConfig::read(&path)?;
    let labels = labels_of(&whole).map_err(TrainError::base(&path))?;
    let model = Classifier::new(&config, labels.len(), device);
    weights::load(&model, &dir.join("model.safetensors"), &Head::FromFile)?;
    Ok((model, config, labels))
}

/// The labels that config.json gives the outputs of the head.
pub(crate) fn labels_of(config: &Value) -> Result<Vec<Label>, String> {
    let names = config.get("id2label").and_then(Value::as_object).ok_or("id2label is missing")?;
    (0..names.len())
        .map(|i| {
            let name =
                names.get(&i.to_string()).and_then(Value::as_str).ok_or(format!("id2label lacks {i}"))?;
            name.parse::<Label>().map_err(|e| e.to_string())
        })
        .collect()
}
