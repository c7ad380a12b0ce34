//! `modloop-train train`: from options to a finished run.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};

use modloop_trainer::bert::Classifier;
use modloop_trainer::checkpoint::CheckpointDir;
use modloop_trainer::config::BertConfig;
use modloop_trainer::record::{BaseModel, Hyperparameters, Steps, TrainingRecord};
use modloop_trainer::resume::ResumeDir;
use modloop_trainer::start::Start;
use modloop_trainer::tokens::{Symbols, TextTokenizer};
use modloop_trainer::train::{Outcome, Run};
use modloop_trainer::{TrainError, device, weights};

use crate::lines::Lines;
use crate::options::TrainOptions;

/// Trains, and forgets what a cut-off run would go on from.
pub(crate) fn run(options: &TrainOptions) -> Result<()> {
    let out = options.out.display();
    match train(options)? {
        Outcome::Finished => eprintln!("finished; the model is in {out}"),
        Outcome::OutOfPatience => eprintln!("dev got no better; the best model is in {out}"),
        Outcome::Stopped => {
            eprintln!("stopped; the model so far is in {out}, and the same command goes on from here");
            return Ok(());
        }
    }
    Ok(ResumeDir::beside(&options.out).clear()?)
}

/// Trains to the end or until it is asked to stop, going on where an earlier run was cut off.
pub(crate) fn train(options: &TrainOptions) -> Result<Outcome> {
    let stop = stop_on_signal()?;
    let device = device::choose();
    if let Some(threads) = options.threads {
        tch::set_num_threads(threads.into());
    }
    let resume = ResumeDir::beside(&options.out);
    if options.fresh {
        resume.clear()?;
    }
    let start = Start::open(&options.base)?;
    let base = Base::load(options, &start)?;
    let base_model = options.base_model(&start)?;
    let lines = Lines::load(options, &base.tokenizer)?;
    tch::manual_seed(options.seed as i64);
    let kind = options.settings().precision.kind(device);
    let model = Classifier::new(&base.config, options.labels.len(), device).with_products(kind);
    weights::load(&model, start.weights(), &start.head(&options.labels))?;
    eprintln!("training on {device:?}, products in {kind:?}");
    let run = Run {
        model: &model,
        epochs: &lines.epochs,
        dev: &lines.dev,
        settings: &options.settings(),
        out: &CheckpointDir::new(&options.out, &base.whole_config, &options.labels, &base.tokenizer),
        resume: &resume,
        record: new_record(options, &start, base_model, base.config.hidden_dropout_prob, &lines),
        stop: &stop,
    };
    Ok(run.train()?)
}

/// The shape of the model and how it reads text.
struct Base {
    config: BertConfig,
    whole_config: Value,
    tokenizer: TextTokenizer,
}

impl Base {
    fn load(options: &TrainOptions, start: &Start) -> Result<Self, TrainError> {
        let (mut config, whole_config) = BertConfig::read(&start.config())?;
        if let Some(dropout) = options.dropout {
            config = config.with_dropout(dropout);
        }
        // The tokenizer of a model trained before reads symbols as that model was taught to.
        let as_words = options.symbols_as_words && start.lineage().is_none();
        let symbols = if as_words { Symbols::AsWords } else { Symbols::AsTheyAre };
        let tokenizer = TextTokenizer::read(&start.tokenizer(), &config, options.max_tokens, symbols)?;
        Ok(Self { config, whole_config, tokenizer })
    }
}

fn new_record(
    options: &TrainOptions,
    start: &Start,
    base_model: BaseModel,
    dropout: f64,
    lines: &Lines,
) -> TrainingRecord {
    TrainingRecord {
        labels: options.labels.clone(),
        base_model,
        parent: start.lineage().and_then(|lineage| lineage.version.clone()),
        data_sources: lines.sources(options, start.lineage()),
        data_sha256: lines.epochs.sha256(),
        hyperparameters: Hyperparameters {
            settings: options.settings(),
            dropout,
            mix: lines.rules.clone(),
            templates: options.templates,
            augmentation: options.augmentation(),
            replay_share: if options.replay.is_some() { options.replay_share } else { 0.0 },
        },
        seed: options.seed,
        steps: Steps { done: 0, planned: 0 },
        loss: 0.0,
        dev: Value::Null,
    }
}

/// A flag that SIGTERM (a spot instance is taken away) and Ctrl-C set. A second Ctrl-C ends at once; a second SIGTERM
/// does not, for some supervisors send it to the process and again to its group.
fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    // In this order: the first Ctrl-C must find the flag not yet set.
    signal_hook::flag::register_conditional_shutdown(SIGINT, 1, Arc::clone(&stop))
        .and_then(|_| signal_hook::flag::register(SIGINT, Arc::clone(&stop)))
        .and_then(|_| signal_hook::flag::register(SIGTERM, Arc::clone(&stop)))
        .context("cannot listen for signals")?;
    Ok(stop)
}
