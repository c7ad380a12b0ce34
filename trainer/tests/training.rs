//! From a base model and labeled lines to a checkpoint, on a model small enough for a test.

mod tiny;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};
use tch::{Device, Tensor};

use modloop_domain::Label;
use modloop_trainer::TrainError;
use modloop_trainer::augment::Augmentation;
use modloop_trainer::batches::Batch;
use modloop_trainer::bert::{Classifier, Mode};
use modloop_trainer::checkpoint::{self, CheckpointDir};
use modloop_trainer::config::BertConfig;
use modloop_trainer::data::Example;
use modloop_trainer::device::Precision;
use modloop_trainer::epochs::Epochs;
use modloop_trainer::mix::Mix;
use modloop_trainer::optimizer::Rates;
use modloop_trainer::record::{BaseModel, Hyperparameters, Steps, TrainingRecord};
use modloop_trainer::resume::ResumeDir;
use modloop_trainer::tokens::{Encoded, Symbols, TextTokenizer};
use modloop_trainer::train::{Outcome, Run, Settings, masked_loss};
use modloop_trainer::weights::{self, Head};

fn labels() -> Vec<Label> {
    ["hate", "offensive"].map(|l| l.parse().expect("a label")).to_vec()
}

/// 32 lines; "nasty" means the first label, "vile" the second, which only every other line speaks of.
fn examples() -> Vec<Example> {
    let mut examples = Vec::new();
    for (adjective, hate, offensive) in
        [("kind", false, false), ("nasty", true, false), ("vile", false, true)]
    {
        for noun in ["friend", "stranger", "neighbour"] {
            for end in ["", "today", "always", "never today"] {
                let says = examples.len() % 2 == 0;
                examples.push(Example {
                    text: format!("You are a {adjective} {noun} {end}"),
                    source: "test".to_owned(),
                    source_label: String::new(),
                    weak: false,
                    answers: vec![Some(hate), says.then_some(offensive)],
                    weight: 1.0,
                });
            }
        }
    }
    examples.truncate(32);
    examples
}

struct Bench {
    dir: tempfile::TempDir,
    model: Classifier,
    config: Value,
    tokenizer: TextTokenizer,
    lines: Vec<Encoded>,
    settings: Settings,
}

impl Bench {
    fn new() -> Self {
        // Tests run side by side: threads inside each would only wait for one another.
        tch::set_num_threads(1);
        tch::manual_seed(5);
        let dir = tempfile::tempdir().expect("a directory");
        let base = dir.path().join("base");
        std::fs::create_dir(&base).expect("a directory");
        tiny::write_base(&base, "bert.", |_| true);
        let (config, whole) = BertConfig::read(&base.join("config.json")).expect("a config");
        let tokenizer = TextTokenizer::read(&base.join("tokenizer.json"), &config, 12, Symbols::AsTheyAre)
            .expect("a tokenizer");
        let model = Classifier::new(&config, 2, Device::Cpu);
        weights::load(&model, &base.join("model.safetensors"), &Head::Fresh).expect("weights");
        let lines = tokenizer.encode(&examples()).expect("token ids");
        let rates = Rates {
            learning_rate: 3e-3,
            head_learning_rate: 3e-3,
            layer_decay: 1.0,
            weight_decay: 0.01,
            warmup: 0.1,
            clip: 1.0,
        };
        let settings = Settings {
            epochs: 40,
            batch_size: 8,
            max_tokens: 12,
            rates,
            class_weights: BTreeMap::new(),
            checkpoint_every: 1000,
            evaluate_every: None,
            patience: None,
            precision: Precision::F32,
        };
        Self { dir, model, config: whole, tokenizer, lines, settings }
    }

    fn out(&self) -> std::path::PathBuf {
        self.dir.path().join("out")
    }

    fn train(&self, stop: bool) -> Result<Outcome, TrainError> {
        let record = TrainingRecord {
            labels: labels(),
            base_model: BaseModel {
                name: "tiny".to_owned(),
                licence: "none".to_owned(),
                sha256: String::new(),
            },
            parent: None,
            data_sources: Vec::new(),
            data_sha256: String::new(),
            hyperparameters: Hyperparameters {
                settings: self.settings.clone(),
                dropout: 0.0,
                mix: Mix { weak_negatives: labels().into_iter().collect(), ..Mix::default() },
                templates: false,
                augmentation: Augmentation::default(),
                replay_share: 0.0,
            },
            seed: 3,
            steps: Steps { done: 0, planned: 0 },
            loss: 0.0,
            dev: Value::Null,
        };
        let run = Run {
            model: &self.model,
            epochs: &Epochs::without_replay(self.lines.clone(), record.seed),
            dev: &self.lines,
            settings: &self.settings,
            out: &CheckpointDir::new(&self.out(), &self.config, &labels(), &self.tokenizer),
            resume: &ResumeDir::beside(&self.out()),
            record,
            stop: &AtomicBool::new(stop),
        };
        run.train()
    }
}

fn logits(model: &Classifier, lines: &[Encoded]) -> Vec<Vec<f32>> {
    let all: Vec<usize> = (0..lines.len()).collect();
    let batch = Batch::new(lines, &all, Device::Cpu).expect("tensors");
    let logits = tch::no_grad(|| model.forward(&batch.input_ids, &batch.mask, Mode::Inference));
    logits.expect("logits").try_into().expect("rows")
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
}

#[test]
fn a_tiny_model_learns_its_lines_and_the_checkpoint_gives_the_same_logits() {
    let bench = Bench::new();
    assert_eq!(bench.train(false).expect("a run"), Outcome::Finished);
    let learnt = logits(&bench.model, &bench.lines);
    for (row, line) in learnt.iter().zip(&bench.lines) {
        for (logit, answer) in row.iter().zip(&line.answers) {
            assert!(answer.is_none_or(|yes| yes == (*logit > 0.0)), "{line:?} got {row:?}");
        }
    }
    let (again, _, names) = checkpoint::open(&bench.out(), Device::Cpu).expect("a checkpoint");
    assert_eq!(names, labels());
    assert_eq!(logits(&again, &bench.lines), learnt);

    let record = TrainingRecord::read(&bench.out().join("training.json")).expect("a record");
    assert_eq!(record.steps, Steps { done: 160, planned: 160 });
    assert_eq!(record.hyperparameters.settings, bench.settings);
    assert_eq!(record.dev["hate"]["all"]["at_half"]["macro_f1"], json!(1.0));
    let tokenizer = read_json(&bench.out().join("tokenizer.json"));
    assert!(tokenizer["padding"].is_null() && tokenizer["truncation"].is_null());
    assert!(!bench.out().with_extension("partial").exists());
    assert!(!bench.out().with_extension("previous").exists());
}

#[test]
fn asked_to_stop_it_saves_and_says_so() {
    let bench = Bench::new();
    assert_eq!(bench.train(true).expect("a run"), Outcome::Stopped);
    assert_eq!(read_json(&bench.out().join("training.json"))["steps"]["done"], json!(0));
    checkpoint::open(&bench.out(), Device::Cpu).expect("a checkpoint that loads");
}

#[test]
fn training_that_diverges_stops_and_keeps_the_last_checkpoint() {
    let mut bench = Bench::new();
    bench.settings.checkpoint_every = 1;
    bench.settings.rates = Rates { learning_rate: 1e18, warmup: 0.9, clip: 1e30, ..bench.settings.rates };
    let error = bench.train(false).expect_err("no number").to_string();
    assert!(error.contains("NaN at step") && error.contains("--learning-rate"), "{error}");
    // What was saved before is whole, and all numbers.
    let resume = bench.out().with_extension("resume");
    let names: Vec<_> = std::fs::read_dir(&resume).expect("a listing").flatten().map(|e| e.path()).collect();
    assert!(!names.is_empty() && names.iter().all(|n| n.extension().is_none()), "{names:?}");
    for dir in names {
        let (model, ..) = checkpoint::open(&dir, Device::Cpu).expect("a checkpoint");
        let finite = model.store().variables().values().all(|w| w.isfinite().all().int64_value(&[]) == 1);
        assert!(finite, "{}", dir.display());
    }
}

#[test]
fn out_of_patience_it_keeps_the_best_model() {
    let mut bench = Bench::new();
    bench.settings.evaluate_every = Some(20);
    bench.settings.patience = Some(2);
    assert_eq!(bench.train(false).expect("a run"), Outcome::OutOfPatience);
    let record = TrainingRecord::read(&bench.out().join("training.json")).expect("a record");
    assert!(record.steps.done < 160, "it ended early: {:?}", record.steps);
    assert!(record.dev["hate"]["all"]["at_best"]["macro_f1"].as_f64().expect("a score") > 0.9);
    // What is kept is older than what was trained last.
    let (kept, ..) = checkpoint::open(&bench.out(), Device::Cpu).expect("a checkpoint");
    assert_ne!(logits(&kept, &bench.lines), logits(&bench.model, &bench.lines));
}

#[test]
fn padding_changes_nothing() {
    let bench = Bench::new();
    let together = logits(&bench.model, &bench.lines);
    for (line, row) in bench.lines.iter().zip(together) {
        let alone = logits(&bench.model, std::slice::from_ref(line));
        assert!(alone[0].iter().zip(&row).all(|(a, b)| (a - b).abs() < 1e-5), "{alone:?} {row:?}");
    }
}

#[test]
fn labels_that_a_set_does_not_speak_of_give_no_gradient() {
    let bench = Bench::new();
    let mut lines = bench.lines.clone();
    for line in &mut lines {
        line.answers[1] = None;
    }
    let batch = Batch::new(&lines, &(0..lines.len()).collect::<Vec<_>>(), Device::Cpu).expect("tensors");
    let logits = bench.model.forward(&batch.input_ids, &batch.mask, Mode::Training).expect("logits");
    masked_loss(&logits, &batch.answers, &batch.weights).expect("a loss").backward();
    let gradient: Tensor = bench.model.store().variables()["classifier.weight"].grad();
    assert!(gradient.get(0).abs().max().double_value(&[]) > 0.0);
    assert_eq!(gradient.get(1).abs().max().double_value(&[]), 0.0);
}

#[test]
fn a_missing_tensor_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let gone = "encoder.layer.1.attention.self.key.weight";
    tiny::write_base(dir.path(), "", |name| name != gone);
    let (config, _) = BertConfig::read(&dir.path().join("config.json")).expect("a config");
    let model = Classifier::new(&config, 2, Device::Cpu);
    let error = weights::load(&model, &dir.path().join("model.safetensors"), &Head::Fresh);
    let error = error.expect_err("incomplete").to_string();
    assert!(error.contains(gone) && error.contains("model.safetensors"), "{error}");
}

#[test]
fn another_architecture_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.json");
    let mut config = tiny::config_json();
    config["model_type"] = json!("roberta");
    std::fs::write(&path, config.to_string()).expect("a file");
    let error = BertConfig::read(&path).expect_err("another architecture").to_string();
    assert!(error.contains("config.json") && error.contains("roberta"), "{error}");
}
