//! Where a run that is cut off goes on from.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::TrainError;
use crate::bert::Classifier;
use crate::checkpoint::{CheckpointDir, beside, remove, write_json};
use crate::early_stopping::EarlyStopping;
use crate::optimizer::AdamW;
use crate::record::TrainingRecord;
use crate::weights::{self, Head};

/// The loss that is shown is the mean over this many steps.
const LOSS_WINDOW: usize = 100;
/// Checkpoints that are kept. Two, because a service that copies the folder elsewhere file by file may have been cut
/// off in the middle of the newest.
const KEPT: usize = 2;

const OPTIMIZER: &str = "optimizer.safetensors";
const POSITION: &str = "position.json";

/// What changes from step to step beside the weights and the optimiser's memory. The order of the lines and what
/// dropout drops are not here: both follow from the seed and the number of steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Losses of the last steps.
    losses: VecDeque<f64>,
    /// Whether dev was measured after the last step.
    measured: bool,
    /// The course of dev.
    pub early: EarlyStopping,
}

impl Position {
    /// Takes a step's loss into account; gives the mean over the last ones.
    pub fn took_step(&mut self, loss: f64) -> f64 {
        if self.losses.len() == LOSS_WINDOW {
            self.losses.pop_front();
        }
        self.losses.push_back(loss);
        self.measured = false;
        self.losses.iter().sum::<f64>() / self.losses.len() as f64
    }

    /// Takes a score on dev into account; true when it is the best so far.
    pub fn measured(&mut self, score: f64) -> bool {
        self.measured = true;
        self.early.improves(score)
    }

    /// Whether dev was measured after the last step.
    pub fn is_measured(&self) -> bool {
        self.measured
    }
}

/// A folder of checkpoints `step-N`, each of which holds what [`CheckpointDir`] writes, the optimiser's memory and the
/// [`Position`]. One is made under another name and renamed when it is whole.
#[derive(Debug)]
pub struct ResumeDir {
    root: PathBuf,
}

/// A whole checkpoint.
#[derive(Debug)]
pub struct Saved {
    dir: PathBuf,
    record: TrainingRecord,
    position: Position,
}

impl ResumeDir {
    /// Checkpoints go to `OUT.resume`.
    pub fn beside(out: &Path) -> Self {
        Self { root: beside(out, ".resume") }
    }

    /// Saves a run between two steps.
    pub fn save(
        &self,
        files: &CheckpointDir,
        model: &Classifier,
        optimizer: &AdamW,
        record: &TrainingRecord,
        position: &Position,
    ) -> Result<(), TrainError> {
        let dir = self.step(record.steps.done);
        let partial = beside(&dir, ".partial");
        let written = self.write(&partial, files, model, optimizer, record, position);
        let saved = written.and_then(|()| {
            remove(&dir)?;
            fs::rename(&partial, &dir).map_err(TrainError::io("create", &dir))
        });
        if saved.is_err() {
            // What is half-written only takes room; why it failed is what matters.
            let _ = remove(&partial);
        }
        saved?;
        self.remove_all_but_newest()
    }

    fn write(
        &self,
        dir: &Path,
        files: &CheckpointDir,
        model: &Classifier,
        optimizer: &AdamW,
        record: &TrainingRecord,
        position: &Position,
    ) -> Result<(), TrainError> {
        remove(dir)?;
        files.write_to(dir, model, record)?;
        optimizer.save(&dir.join(OPTIMIZER))?;
        write_json(&dir.join(POSITION), position)
    }

    /// Writes a new position into the checkpoint of `step`, whose weights have not changed since.
    pub fn note(&self, step: usize, position: &Position) -> Result<(), TrainError> {
        let dir = self.step(step);
        let partial = dir.join("position.partial");
        write_json(&partial, position)?;
        let path = dir.join(POSITION);
        fs::rename(&partial, &path).map_err(TrainError::io("replace", &path))
    }

    /// The newest whole checkpoint, if any; an error when it belongs to another run than `planned`.
    pub fn newest(&self, planned: &TrainingRecord) -> Result<Option<Saved>, TrainError> {
        for (_, dir) in self.steps()?.into_iter().rev() {
            match Saved::read(&dir) {
                Ok(saved) => return saved.of_same_run(planned).map(Some),
                Err(error) => {
                    eprintln!("removing a checkpoint that is not whole: {error}");
                    // Or it would count as newer than what this run saves next.
                    remove(&dir)?;
                }
            }
        }
        Ok(None)
    }

    /// Forgets the run.
    pub fn clear(&self) -> Result<(), TrainError> {
        remove(&self.root)
    }

    fn step(&self, number: usize) -> PathBuf {
        self.root.join(format!("step-{number}"))
    }

    /// Checkpoints with their steps, the newest last.
    fn steps(&self) -> Result<Vec<(usize, PathBuf)>, TrainError> {
        if !self.root.exists() {
            return Ok(Vec::new());
        }
        let mut steps = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(TrainError::io("list", &self.root))? {
            let path = entry.map_err(TrainError::io("list", &self.root))?.path();
            let number = path.file_name().and_then(|name| name.to_str()?.strip_prefix("step-")?.parse().ok());
            steps.extend(number.map(|number| (number, path)));
        }
        steps.sort();
        Ok(steps)
    }

    fn remove_all_but_newest(&self) -> Result<(), TrainError> {
        let steps = self.steps()?;
        let old = steps.len().saturating_sub(KEPT);
        steps[..old].iter().try_for_each(|(_, dir)| remove(dir))
    }
}

impl Saved {
    fn read(dir: &Path) -> Result<Self, TrainError> {
        let path = dir.join(POSITION);
        let text = fs::read(&path).map_err(TrainError::io("read", &path))?;
        let position = serde_json::from_slice(&text).map_err(TrainError::base(&path))?;
        let record = TrainingRecord::read(&dir.join(crate::checkpoint::RECORD))?;
        for name in ["model.safetensors", OPTIMIZER] {
            tch::Tensor::read_safetensors(dir.join(name)).map_err(TrainError::base(&dir.join(name)))?;
        }
        Ok(Self { dir: dir.to_owned(), record, position })
    }

    fn of_same_run(self, planned: &TrainingRecord) -> Result<Self, TrainError> {
        let differences = differences(&self.record, planned);
        if differences.is_empty() {
            return Ok(self);
        }
        Err(TrainError::AnotherRun { dir: self.dir, differences })
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Puts model and optimiser back to where they were.
    pub fn restore(
        &self,
        model: &Classifier,
        optimizer: &mut AdamW,
    ) -> Result<(TrainingRecord, Position), TrainError> {
        weights::load(model, &self.dir.join("model.safetensors"), &Head::FromFile)?;
        optimizer.load(&self.dir.join(OPTIMIZER))?;
        Ok((self.record.clone(), self.position.clone()))
    }
}

/// Names of settings and data that differ. What a run itself fills in is not looked at.
fn differences(saved: &TrainingRecord, planned: &TrainingRecord) -> Vec<String> {
    let plain = |record: &TrainingRecord| {
        let mut record = record.clone();
        (record.loss, record.dev, record.steps.done) = (0.0, Value::Null, 0);
        let mut fields = serde_json::to_value(record).unwrap_or_default();
        // Flattened, so that one setting is named and not all of them.
        let settings = fields.as_object_mut().and_then(|f| f.remove("hyperparameters"));
        (fields, settings.unwrap_or_default())
    };
    let ((a, b), (c, d)) = (plain(saved), plain(planned));
    let empty = serde_json::Map::new();
    let differing = |a: &Value, b: &Value| -> Vec<String> {
        let (a, b) = (a.as_object().unwrap_or(&empty), b.as_object().unwrap_or(&empty));
        let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
        names.filter(|name| a.get(*name) != b.get(*name)).cloned().collect()
    };
    [differing(&a, &c), differing(&b, &d)].concat()
}
