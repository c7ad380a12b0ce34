//! The training loop.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::nn::Optimizer;
use tch::{Kind, Reduction, Tensor};

use crate::TrainError;
use crate::batches::{Batch, shuffled};
use crate::bert::{Classifier, Mode};
use crate::checkpoint::CheckpointDir;
use crate::dev;
use crate::optimizer::{self, Rates};
use crate::progress::Progress;
use crate::record::{Steps, TrainingRecord};
use crate::tokens::Encoded;

/// The loss that is shown is the mean over this many steps.
const LOSS_WINDOW: usize = 100;

/// Settings of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Passes over the data.
    pub epochs: usize,
    /// Lines a step.
    pub batch_size: usize,
    /// Longer texts are cut to this many tokens, special tokens included.
    pub max_tokens: usize,
    /// Learning rates and what restrains them.
    #[serde(flatten)]
    pub rates: Rates,
    /// Steps between checkpoints.
    pub checkpoint_every: usize,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs are done.
    Finished,
    /// It was asked to stop, and saved a checkpoint first.
    Stopped,
}

/// A model, its data and where its checkpoints go.
#[derive(Debug)]
pub struct Run<'a> {
    /// Trained in place.
    pub model: &'a Classifier,
    /// What to learn from.
    pub train: &'a [Encoded],
    /// What to measure on after each epoch.
    pub dev: &'a [Encoded],
    /// How.
    pub settings: &'a Settings,
    /// Checkpoints.
    pub out: &'a CheckpointDir,
    /// Written beside each checkpoint; this run fills in steps, loss and dev measures.
    pub record: TrainingRecord,
    /// Set from outside to make the run save and stop.
    pub stop: &'a AtomicBool,
}

impl Run<'_> {
    /// Trains to the end, or until `stop` is set, or until the loss is no number.
    pub fn train(mut self) -> Result<Outcome, TrainError> {
        let mut optimizer = optimizer::build(self.model.store(), &self.settings.rates)?;
        let lengths: Vec<usize> = self.train.iter().map(|l| l.ids.len()).collect();
        let steps_an_epoch = lengths.len().div_ceil(self.settings.batch_size);
        self.record.steps = Steps { done: 0, planned: steps_an_epoch * self.settings.epochs };
        let mut rng = StdRng::seed_from_u64(self.record.seed);
        let mut progress = Progress::new("train", self.record.steps.planned);
        let mut losses = VecDeque::with_capacity(LOSS_WINDOW);
        for _ in 0..self.settings.epochs {
            for chosen in shuffled(&lengths, self.settings.batch_size, &mut rng) {
                if self.stop.load(Ordering::Relaxed) {
                    self.save(Value::Null)?;
                    return Ok(Outcome::Stopped);
                }
                let loss = self.step(&mut optimizer, &chosen)?;
                self.record.loss = mean_of_last(&mut losses, loss);
                progress.step(chosen.len(), || format!("loss {:.4}", self.record.loss));
                if self.record.steps.done.is_multiple_of(self.settings.checkpoint_every) {
                    self.save(Value::Null)?;
                }
            }
            // Saved before it is measured: measuring takes a while and may be cut off.
            self.save(Value::Null)?;
            self.measure()?;
        }
        Ok(Outcome::Finished)
    }

    fn step(&mut self, optimizer: &mut Optimizer, chosen: &[usize]) -> Result<f64, TrainError> {
        let Steps { done, planned } = self.record.steps;
        optimizer::set_rates(optimizer, &self.settings.rates, done, planned);
        let batch = Batch::new(self.train, chosen, self.model.store().device());
        let logits = self.model.forward(&batch.input_ids, &batch.mask, Mode::Training);
        let loss = masked_loss(&logits, &batch);
        let value = loss.double_value(&[]);
        if !value.is_finite() {
            return Err(TrainError::NonFiniteLoss { step: done + 1, loss: value });
        }
        optimizer.backward_step_clip_norm(&loss, self.settings.rates.clip);
        self.record.steps.done += 1;
        Ok(value)
    }

    fn measure(&mut self) -> Result<(), TrainError> {
        let batch_size = self.settings.batch_size;
        let mut progress = Progress::new("dev", self.dev.len().div_ceil(batch_size));
        let scores = dev::scores(self.model, self.dev, batch_size, |n| progress.step(n, String::new))?;
        drop(progress);
        let report = dev::report(self.dev, &scores, &self.record.labels);
        eprint!("{}", dev::table(&report));
        self.save(json!(report))
    }

    fn save(&mut self, dev: Value) -> Result<(), TrainError> {
        self.record.dev = dev;
        self.out.save(self.model, &self.record)
    }
}

/// Binary cross-entropy, averaged over what the sets do say.
pub fn masked_loss(logits: &Tensor, batch: &Batch) -> Tensor {
    let all = logits.binary_cross_entropy_with_logits(
        &batch.answers,
        Some(&batch.weights),
        None::<&Tensor>,
        Reduction::Sum,
    );
    all / batch.weights.sum(Kind::Float)
}

fn mean_of_last(losses: &mut VecDeque<f64>, loss: f64) -> f64 {
    if losses.len() == LOSS_WINDOW {
        losses.pop_front();
    }
    losses.push_back(loss);
    losses.iter().sum::<f64>() / losses.len() as f64
}
