//! `modloop-train train`: from options to a finished run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use tch::Device;

use modloop_trainer::bert::Classifier;
use modloop_trainer::checkpoint::CheckpointDir;
use modloop_trainer::config::BertConfig;
use modloop_trainer::record::{BaseModel, DataSource, Hyperparameters, Steps, TrainingRecord};
use modloop_trainer::tokens::{Encoded, Symbols, TextTokenizer};
use modloop_trainer::train::{Outcome, Run};
use modloop_trainer::weights::{self, Head};
use modloop_trainer::{TrainError, augment, data, mix, record, templates};

use crate::options::TrainOptions;

pub(crate) fn run(options: &TrainOptions) -> Result<()> {
    let stop = stop_on_signal()?;
    if let Some(threads) = options.threads {
        tch::set_num_threads(threads.into());
    }
    tch::manual_seed(options.seed as i64);
    let base = Base::load(options)?;
    let lines = Lines::load(options, &base.tokenizer)?;
    let run = Run {
        model: &base.model,
        train: &lines.train,
        dev: &lines.dev,
        settings: &options.settings(),
        out: &CheckpointDir::new(&options.out, &base.whole_config, &options.labels, &base.tokenizer),
        record: new_record(options, &base.config, lines.by_source)?,
        stop: &stop,
    };
    let word = match run.train()? {
        Outcome::Finished => "finished",
        Outcome::Stopped => "stopped early",
    };
    eprintln!("{word}; the checkpoint is in {}", options.out.display());
    Ok(())
}

struct Base {
    config: BertConfig,
    whole_config: Value,
    tokenizer: TextTokenizer,
    model: Classifier,
}

impl Base {
    fn load(options: &TrainOptions) -> Result<Self, TrainError> {
        let file = |name| options.base.join(name);
        let (mut config, whole_config) = BertConfig::read(&file("config.json"))?;
        if let Some(dropout) = options.dropout {
            config = config.with_dropout(dropout);
        }
        let symbols = if options.symbols_as_words { Symbols::AsWords } else { Symbols::AsTheyAre };
        let tokenizer = TextTokenizer::read(&file("tokenizer.json"), &config, options.max_tokens, symbols)?;
        let model = Classifier::new(&config, options.labels.len(), Device::cuda_if_available());
        weights::load(&model, &file("model.safetensors"), Head::Fresh)?;
        Ok(Self { config, whole_config, tokenizer, model })
    }
}

struct Lines {
    train: Vec<Encoded>,
    dev: Vec<Encoded>,
    by_source: BTreeMap<String, usize>,
}

impl Lines {
    fn load(options: &TrainOptions, tokenizer: &TextTokenizer) -> Result<Self, TrainError> {
        let rules = options.mix();
        let mut train = data::read(&options.data, &options.labels)?;
        if options.templates {
            train.extend(templates::lines(&options.labels, options.seed)?);
        }
        let mut train = rules.apply(train, &options.labels, options.seed)?;
        augment::apply(&mut train, options.augmentation(), options.seed);
        let dev = rules.answered(data::read(&options.dev, &options.labels)?, &options.labels);
        let by_source = mix::lines_by_source(&train);
        eprintln!("train on {} lines {by_source:?}, measure on {} lines", train.len(), dev.len());
        Ok(Self { train: tokenizer.encode(&train)?, dev: tokenizer.encode(&dev)?, by_source })
    }
}

fn new_record(
    options: &TrainOptions,
    config: &BertConfig,
    by_source: BTreeMap<String, usize>,
) -> Result<TrainingRecord, TrainError> {
    let source =
        |(name, lines): (String, usize)| DataSource { licence: options.licence_of(&name), name, lines };
    Ok(TrainingRecord {
        labels: options.labels.clone(),
        base_model: BaseModel {
            name: options.base_name.clone(),
            licence: options.base_licence.clone(),
            sha256: record::sha256(&options.base.join("model.safetensors"))?,
        },
        data_sources: by_source.into_iter().map(source).collect(),
        hyperparameters: Hyperparameters {
            settings: options.settings(),
            dropout: config.hidden_dropout_prob,
            mix: options.mix(),
            templates: options.templates,
            augmentation: options.augmentation(),
        },
        seed: options.seed,
        steps: Steps { done: 0, planned: 0 },
        loss: 0.0,
        dev: Value::Null,
    })
}

/// A flag that SIGTERM (a spot instance is taken away) and Ctrl-C set; a second signal ends at once.
fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first signal must find the flag not yet set.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .context("cannot listen for signals")?;
    }
    Ok(stop)
}
