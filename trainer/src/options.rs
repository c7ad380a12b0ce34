//! The options of `modloop-train train`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use modloop_domain::Label;
use modloop_trainer::augment::Augmentation;
use modloop_trainer::class_weights::ClassWeights;
use modloop_trainer::device::Precision;
use modloop_trainer::mix::Mix;
use modloop_trainer::optimizer::Rates;
use modloop_trainer::record::BaseModel;
use modloop_trainer::start::Start;
use modloop_trainer::train::Settings;
use modloop_trainer::{TrainError, record};

/// What to train, on what, and how.
#[derive(Debug, Args)]
pub(crate) struct TrainOptions {
    /// Options in TOML, such as models/champion/recipe.toml, repeatable: a later file wins over an earlier one, and an
    /// option that is given here over both
    // Read before the other options are: see the module `recipe`.
    #[arg(long = "recipe", value_name = "FILE")]
    recipes: Vec<PathBuf>,
    /// Base model in Hugging Face layout (config.json, model.safetensors, tokenizer.json); or what to go on from: a
    /// checkpoint of an earlier run, or a bundle, as a folder or .tar.gz
    #[arg(long)]
    pub(crate) base: PathBuf,
    /// What the base model's publisher calls it, for the record; what was trained before knows
    #[arg(long)]
    base_name: Option<String>,
    /// The base model's licence, for the record; what was trained before knows
    #[arg(long)]
    base_licence: Option<String>,
    /// Training data, JSON lines, plain or .gz; or a folder of such files
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Data to measure on, of the same form
    #[arg(long)]
    pub(crate) dev: PathBuf,
    /// Older data of the same form, mixed in so that a small new batch does not wash out what was known
    #[arg(long)]
    pub(crate) replay: Option<PathBuf>,
    /// Share of each epoch that is replayed
    #[arg(long, default_value_t = 0.5, value_parser = share)]
    pub(crate) replay_share: f64,
    /// Directory of the trained model; one that is there is replaced. A run that was cut off goes on from OUT.resume
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Forget a run that was cut off, and start over
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Labels to learn, in the order of the outputs
    #[arg(long, value_delimiter = ',', required = true)]
    pub(crate) labels: Vec<Label>,

    /// Weight of a source in the loss, 0 leaves it out: NAME=WEIGHT, repeatable
    #[arg(long = "source", value_name = "NAME=WEIGHT", value_parser = pair::<String, f32>)]
    weights: Vec<(String, f32)>,
    /// Most lines of a source: NAME=LINES, repeatable
    #[arg(long = "limit", value_name = "NAME=LINES", value_parser = pair::<String, usize>)]
    limits: Vec<(String, usize)>,
    /// Pass over rules for sources that the data lacks, instead of taking them for misspelt
    #[arg(long)]
    pub(crate) skip_absent_sources: bool,
    /// Learn a label from one source alone, or several when repeated: LABEL=SOURCE
    #[arg(long = "only", value_name = "LABEL=SOURCE", value_parser = pair::<Label, String>)]
    only: Vec<(Label, String)>,
    /// Licence of a source, for the record: NAME=LICENCE, repeatable
    #[arg(long = "licence", value_name = "NAME=LICENCE", value_parser = pair::<String, String>)]
    licences: Vec<(String, String)>,
    /// Weight of a label's answers in the loss: LABEL=WEIGHT, repeatable
    #[arg(long = "label-weight", value_name = "LABEL=WEIGHT", value_parser = weight)]
    label_weights: Vec<(Label, f32)>,
    /// Weight of a label's "yes" beside its "no", above 1 where it is rare: LABEL=WEIGHT, repeatable
    #[arg(long = "positive-weight", value_name = "LABEL=WEIGHT", value_parser = weight)]
    positive_weights: Vec<(Label, f32)>,
    /// Labels for which lines marked weak count as "no"
    #[arg(long, value_delimiter = ',')]
    weak_negatives: Vec<Label>,
    /// Weak lines with one of these source labels are left out of --weak-negatives
    #[arg(long, value_delimiter = ',', default_value = "anger,annoyance,disapproval,disgust")]
    weak_except: Vec<String>,

    /// Answer these labels by a list of abusive words where a line's set says nothing about them
    #[arg(long, value_delimiter = ',')]
    by_words: Vec<Label>,
    /// Take a source's lines several times in each pass: NAME=TIMES, repeatable
    #[arg(long = "repeat", value_name = "NAME=TIMES", value_parser = pair::<String, usize>)]
    repeats: Vec<(String, usize)>,
    /// Add the program's own sentences on negated, quoted and harmless talk, as the source "templates"
    #[arg(long)]
    pub(crate) templates: bool,
    /// Share of lines in which words are disguised
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    disguised: f64,
    /// Share of lines whose punctuation is taken out
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    unpunctuated: f64,
    /// Share of lines that get an emoji without a message
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    decorated: f64,
    /// Read emoji and fancy letters as words; becomes part of the bundle's tokenizer.json
    #[arg(long)]
    pub(crate) symbols_as_words: bool,

    /// Passes over the data
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    epochs: u16,
    /// Lines a step
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: u16,
    /// Longer texts are cut to this many tokens
    #[arg(long, default_value_t = 128)]
    pub(crate) max_tokens: usize,
    /// Peak learning rate of the encoder
    #[arg(long, default_value_t = 8e-5)]
    learning_rate: f64,
    /// Peak learning rate of the head
    #[arg(long, default_value_t = 5e-4)]
    head_learning_rate: f64,
    /// Each layer learns at this share of the rate of the layer above it
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    layer_decay: f64,
    /// Decoupled weight decay of weights; biases and norms have none
    #[arg(long, default_value_t = 0.01)]
    weight_decay: f64,
    /// Share of the steps over which the learning rate rises
    #[arg(long, default_value_t = 0.06, value_parser = share)]
    warmup: f64,
    /// Largest norm of the gradients
    #[arg(long, default_value_t = 1.0)]
    clip: f64,
    /// Share of units and attention weights dropped while training; the base model's when not given
    #[arg(long, value_parser = share)]
    pub(crate) dropout: Option<f64>,
    /// Decides the draw of lines, their order and the fresh weights
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Steps between checkpoints
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_every: u32,
    /// Steps between measures on dev; at the end of each epoch in any case
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    evaluate_every: Option<u32>,
    /// End after this many measures without a better macro-F1, and keep the best model; without, keep the last
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    patience: Option<u32>,
    /// How exactly matrix products are computed
    #[arg(long, value_enum, default_value_t)]
    precision: Precision,
    /// Processor threads; all cores when not given
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) threads: Option<u8>,
}

impl TrainOptions {
    pub(crate) fn mix(&self) -> Mix {
        let mut mix = Mix {
            weights: self.weights.iter().cloned().collect(),
            limits: self.limits.iter().cloned().collect(),
            weak_negatives: self.weak_negatives.iter().cloned().collect(),
            weak_except: self.weak_except.iter().cloned().collect(),
            by_words: self.by_words.iter().cloned().collect(),
            repeats: self.repeats.iter().cloned().collect(),
            ..Mix::default()
        };
        for (label, source) in &self.only {
            mix.only.entry(label.clone()).or_default().insert(source.clone());
        }
        mix
    }

    pub(crate) fn augmentation(&self) -> Augmentation {
        Augmentation { disguised: self.disguised, unpunctuated: self.unpunctuated, decorated: self.decorated }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            epochs: self.epochs.into(),
            batch_size: self.batch_size.into(),
            max_tokens: self.max_tokens,
            rates: Rates {
                learning_rate: self.learning_rate,
                head_learning_rate: self.head_learning_rate,
                layer_decay: self.layer_decay,
                weight_decay: self.weight_decay,
                warmup: self.warmup,
                clip: self.clip,
            },
            class_weights: self.class_weights(),
            checkpoint_every: self.checkpoint_every as usize,
            evaluate_every: self.evaluate_every.map(|steps| steps as usize),
            patience: self.patience.map(|measures| measures as usize),
            precision: self.precision,
        }
    }

    fn class_weights(&self) -> BTreeMap<Label, ClassWeights> {
        let mut weights: BTreeMap<Label, ClassWeights> = BTreeMap::new();
        for (label, weight) in &self.label_weights {
            weights.entry(label.clone()).or_default().label = *weight;
        }
        for (label, weight) in &self.positive_weights {
            weights.entry(label.clone()).or_default().positive = *weight;
        }
        weights
    }

    /// The base model: as what training starts from knows it, else as options name it.
    pub(crate) fn base_model(&self, start: &Start) -> Result<BaseModel, TrainError> {
        if let Some(lineage) = start.lineage() {
            return Ok(lineage.base_model.clone());
        }
        let missing = |option| {
            TrainError::Mix(format!("{option} is missing; only a model trained before can do without"))
        };
        Ok(BaseModel {
            name: self.base_name.clone().ok_or_else(|| missing("--base-name"))?,
            licence: self.base_licence.clone().ok_or_else(|| missing("--base-licence"))?,
            sha256: record::sha256(start.weights())?,
        })
    }

    pub(crate) fn licence_of(&self, source: &str) -> Option<String> {
        let named = self.licences.iter().find(|(name, _)| name == source);
        named.map(|(_, licence)| licence.clone())
    }
}

/// Reads a share: 0 or more and less than 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to less than 1".to_owned()),
    }
}

/// Reads a number above 0.
fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("expected a number above 0".to_owned()),
    }
}

/// Reads `LABEL=WEIGHT`.
fn weight(text: &str) -> Result<(Label, f32), String> {
    let (label, weight) = pair::<Label, String>(text)?;
    Ok((label, positive(&weight)? as f32))
}

/// Reads `KEY=VALUE`.
fn pair<K: FromStr, V: FromStr>(text: &str) -> Result<(K, V), String>
where
    K::Err: std::fmt::Display,
    V::Err: std::fmt::Display,
{
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    let key = key.parse().map_err(|e: K::Err| e.to_string())?;
    let value = value.parse().map_err(|e: V::Err| e.to_string())?;
    Ok((key, value))
}
