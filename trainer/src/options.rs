//! The options of `modloop-train`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use modloop_domain::{Label, ModelVersion};
use modloop_evaluation::{AssembleOptions, CalibrationWeights};
use modloop_trainer::augment::Augmentation;
use modloop_trainer::mix::Mix;
use modloop_trainer::optimizer::Rates;
use modloop_trainer::train::Settings;

/// What to train, on what, and how.
#[derive(Debug, Args)]
pub(crate) struct TrainOptions {
    /// Base model in Hugging Face layout: config.json, model.safetensors, tokenizer.json
    #[arg(long)]
    pub(crate) base: PathBuf,
    /// What the base model's publisher calls it, for the record
    #[arg(long)]
    pub(crate) base_name: String,
    /// The base model's licence, for the record
    #[arg(long)]
    pub(crate) base_licence: String,
    /// Training data, JSON lines, plain or .gz
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Data to measure on, of the same form
    #[arg(long)]
    pub(crate) dev: PathBuf,
    /// Directory of the checkpoint; one that is there is replaced
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Labels to learn, in the order of the outputs
    #[arg(long, value_delimiter = ',', required = true)]
    pub(crate) labels: Vec<Label>,

    /// Weight of a source in the loss, 0 leaves it out: NAME=WEIGHT, repeatable
    #[arg(long = "source", value_name = "NAME=WEIGHT", value_parser = pair::<String, f32>)]
    weights: Vec<(String, f32)>,
    /// Most lines of a source: NAME=LINES, repeatable
    #[arg(long = "limit", value_name = "NAME=LINES", value_parser = pair::<String, usize>)]
    limits: Vec<(String, usize)>,
    /// Learn a label from one source alone, or several when repeated: LABEL=SOURCE
    #[arg(long = "only", value_name = "LABEL=SOURCE", value_parser = pair::<Label, String>)]
    only: Vec<(Label, String)>,
    /// Licence of a source, for the record: NAME=LICENCE, repeatable
    #[arg(long = "licence", value_name = "NAME=LICENCE", value_parser = pair::<String, String>)]
    licences: Vec<(String, String)>,
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
    #[arg(long, default_value_t = 1)]
    epochs: usize,
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
            epochs: self.epochs,
            batch_size: self.batch_size.into(),
            max_tokens: self.max_tokens,
            rates: Rates {
                learning_rate: self.learning_rate,
                head_learning_rate: self.head_learning_rate,
                weight_decay: self.weight_decay,
                warmup: self.warmup,
                clip: self.clip,
            },
            checkpoint_every: self.checkpoint_every as usize,
        }
    }

    pub(crate) fn licence_of(&self, source: &str) -> String {
        let named = self.licences.iter().find(|(name, _)| name == source);
        named.map_or_else(|| "not stated".to_owned(), |(_, licence)| licence.clone())
    }
}

/// Which checkpoint becomes which bundle.
#[derive(Debug, Args)]
pub(crate) struct BundleOptions {
    /// Checkpoint, as `train` writes it
    #[arg(long)]
    pub(crate) checkpoint: PathBuf,
    /// Data to calibrate and measure on, JSON lines, plain or .gz
    #[arg(long)]
    pub(crate) dev: PathBuf,
    /// At most this many of its lines, chosen by their text
    #[arg(long)]
    dev_limit: Option<usize>,
    /// Directory of the bundle; one that is there is replaced
    #[arg(long)]
    out: PathBuf,
    /// Names the model for good, such as 2026-11-22.1
    #[arg(long)]
    version: ModelVersion,
    /// The ONNX Runtime library, libonnxruntime.so
    #[arg(long, env = "ORT_DYLIB_PATH")]
    runtime_library: PathBuf,
    /// Put the weights in the bundle, so that later training can start from it
    #[arg(long)]
    include_weights: bool,
}

impl BundleOptions {
    pub(crate) fn assemble(self, dev: PathBuf) -> AssembleOptions {
        AssembleOptions {
            checkpoint: self.checkpoint,
            dev,
            dev_limit: self.dev_limit,
            out: self.out,
            version: self.version,
            runtime_library: self.runtime_library,
            include_weights: self.include_weights,
            calibration_weights: CalibrationWeights::default(),
            calibration_prior: None,
        }
    }
}

/// Reads a share: 0 or more and less than 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to less than 1".to_owned()),
    }
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
