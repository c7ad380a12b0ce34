//! The training loop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::{Kind, Reduction, TchError, Tensor};

use modloop_domain::Label;

use crate::TrainError;
use crate::batches::Batch;
use crate::bert::{Classifier, Mode};
use crate::checkpoint::CheckpointDir;
use crate::class_weights::ClassWeights;
use crate::dev;
use crate::device::Precision;
use crate::epochs::Epochs;
use crate::optimizer::{AdamW, Rates};
use crate::progress::Progress;
use crate::record::{Steps, TrainingRecord};
use crate::resume::{Position, ResumeDir};
use crate::tokens::Encoded;

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
    /// How much each label's answers count; both as much as any other where nothing is said.
    #[serde(default)]
    pub class_weights: BTreeMap<Label, ClassWeights>,
    /// Steps between checkpoints.
    pub checkpoint_every: usize,
    /// Steps between measures on dev; without, at the end of each epoch alone.
    #[serde(default)]
    pub evaluate_every: Option<usize>,
    /// Training ends after this many measures in a row without a better one, and the best model is kept. Without, the
    /// last model is kept.
    #[serde(default)]
    pub patience: Option<usize>,
    /// How exactly products are computed.
    #[serde(default)]
    pub precision: Precision,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs are done.
    Finished,
    /// Dev stopped getting better; the best model is kept.
    OutOfPatience,
    /// It was asked to stop, and saved first.
    Stopped,
}

/// A model, its data and where it is saved.
#[derive(Debug)]
pub struct Run<'a> {
    /// Trained in place.
    pub model: &'a Classifier,
    /// What to learn from.
    pub epochs: &'a Epochs,
    /// What to measure on.
    pub dev: &'a [Encoded],
    /// How.
    pub settings: &'a Settings,
    /// Where the trained model goes: the last, or with patience the best.
    pub out: &'a CheckpointDir,
    /// Where a run that is cut off goes on from.
    pub resume: &'a ResumeDir,
    /// Written beside each checkpoint; this run fills in steps, loss and dev measures.
    pub record: TrainingRecord,
    /// Set from outside to make the run save and stop.
    pub stop: &'a AtomicBool,
}

impl Run<'_> {
    /// Trains to the end, or until `stop` is set, or until a loss or gradient is no number.
    ///
    /// When a checkpoint of the same run is there, it goes on from it and ends as if it had never been cut off.
    pub fn train(mut self) -> Result<Outcome, TrainError> {
        let mut optimizer = AdamW::new(self.model.store(), &self.settings.rates)?;
        let mut position = self.start(&mut optimizer)?;
        let Steps { done, planned } = self.record.steps;
        let mut progress = Progress::new("train", planned, done);
        let outcome = loop {
            if self.is_measure_due() && !position.is_measured() {
                self.save(&optimizer, &position)?;
                self.measure(&mut position)?;
                self.resume.note(self.record.steps.done, &position)?;
            }
            if position.early.gives_up(self.settings.patience) {
                break Outcome::OutOfPatience;
            }
            if self.record.steps.done >= planned {
                break Outcome::Finished;
            }
            if !self.train_on(&mut optimizer, &mut position, &mut progress)? {
                self.save(&optimizer, &position)?;
                self.keep_unless_better_is_kept(&position)?;
                break Outcome::Stopped;
            }
        };
        eprintln!("{}", progress.summary());
        Ok(outcome)
    }

    fn start(&mut self, optimizer: &mut AdamW) -> Result<Position, TrainError> {
        let steps = self.epochs.steps(self.settings.batch_size) * self.settings.epochs;
        self.record.steps = Steps { done: 0, planned: steps };
        let Some(saved) = self.resume.newest(&self.record)? else { return Ok(Position::default()) };
        let (record, position) = saved.restore(self.model, optimizer)?;
        eprintln!("going on after step {} of {steps}, from {}", record.steps.done, saved.dir().display());
        self.record = record;
        Ok(position)
    }

    fn save(&self, optimizer: &AdamW, position: &Position) -> Result<(), TrainError> {
        self.resume.save(self.out, self.model, optimizer, &self.record, position)
    }

    fn is_measure_due(&self) -> bool {
        let done = self.record.steps.done;
        let of_epoch = self.epochs.steps(self.settings.batch_size);
        let due = |every: usize| done > 0 && done.is_multiple_of(every);
        due(of_epoch) || self.settings.evaluate_every.is_some_and(due)
    }

    /// Steps until a measure is due, saving now and then; false when asked to stop before.
    fn train_on(
        &mut self,
        optimizer: &mut AdamW,
        position: &mut Position,
        progress: &mut Progress,
    ) -> Result<bool, TrainError> {
        let of_epoch = self.epochs.steps(self.settings.batch_size);
        let done = self.record.steps.done;
        let batches = self.epochs.batches(done / of_epoch, self.settings.batch_size);
        for chosen in &batches[done % of_epoch..] {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let batch = Batch::new(self.epochs.all(), chosen, self.model.store().device())?;
            let loss = self.step(optimizer, &batch)?;
            self.record.loss = position.took_step(loss);
            progress.step(&batch, || format!("loss {:.4}", self.record.loss));
            if self.is_measure_due() {
                break;
            }
            if self.record.steps.done.is_multiple_of(self.settings.checkpoint_every) {
                self.save(optimizer, position)?;
                println!("train:loss={:.4};", self.record.loss);
            }
        }
        Ok(true)
    }

    fn step(&mut self, optimizer: &mut AdamW, batch: &Batch) -> Result<f64, TrainError> {
        let Steps { done, planned } = self.record.steps;
        // Dropout follows from the seed and the step alone, so that a run that goes on drops the same.
        tch::manual_seed((self.record.seed as i64).wrapping_mul(1_000_003).wrapping_add(done as i64));
        let logits = self.model.forward(&batch.input_ids, &batch.mask, Mode::Training)?;
        let weights = ClassWeights::apply(&self.settings.class_weights, &self.record.labels, batch)?;
        let loss = masked_loss(&logits, &batch.answers, &weights)?;
        let value = loss.f_double_value(&[])?;
        finite("loss", done, value)?;
        let norm = optimizer.step(&loss, done, planned)?;
        finite("gradient", done, norm)?;
        self.record.steps.done += 1;
        Ok(value)
    }

    fn measure(&mut self, position: &mut Position) -> Result<(), TrainError> {
        let batch_size = self.settings.batch_size;
        let mut progress = Progress::new("dev", self.dev.len().div_ceil(batch_size), 0);
        let scores =
            dev::scores(self.model, self.dev, batch_size, |batch| progress.step(batch, String::new))?;
        drop(progress);
        let report = dev::report(self.dev, &scores, &self.record.labels);
        eprint!("{}", dev::table(&report));
        print!("{}", dev::metric_lines(&report));
        if position.measured(dev::score(&report)) || self.settings.patience.is_none() {
            self.record.dev = json!(report);
            self.out.save(self.model, &self.record)?;
            self.record.dev = Value::Null;
        }
        Ok(())
    }

    /// A run that is cut off leaves its newest model too, but not in the place of a better one.
    fn keep_unless_better_is_kept(&self, position: &Position) -> Result<(), TrainError> {
        if self.settings.patience.is_some() && position.early.best().is_some() {
            return Ok(());
        }
        self.out.save(self.model, &self.record)
    }
}

fn finite(what: &'static str, done: usize, value: f64) -> Result<(), TrainError> {
    if value.is_finite() { Ok(()) } else { Err(TrainError::NonFinite { what, step: done + 1, value }) }
}

/// Binary cross-entropy, averaged by weight over what the sets do say. All of shape `[batch, labels]`.
pub fn masked_loss(logits: &Tensor, answers: &Tensor, weights: &Tensor) -> Result<Tensor, TchError> {
    let all =
        logits.f_binary_cross_entropy_with_logits(answers, Some(weights), None::<&Tensor>, Reduction::Sum)?;
    all.f_div(&weights.f_sum(Kind::Float)?)
}
