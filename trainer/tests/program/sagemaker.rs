//! The container contract, from a first model to one that goes on from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::workbench::{Workbench, failure, lines, listing, program, success};
use modloop_bundle::Bundle;

/// A container's folders.
struct Container {
    root: PathBuf,
}

impl Container {
    fn new(bench: &Workbench, name: &str) -> Self {
        let root = bench.path(name);
        for folder in ["input/config", "input/data/train", "input/data/dev", "model", "output", "checkpoints"]
        {
            fs::create_dir_all(root.join(folder)).expect("a directory");
        }
        let container = Self { root };
        // Learnable in a few epochs, and with room for calibration.
        container.write("input/data/train/new.jsonl", &lines(0));
        container.write("input/data/dev/gold.jsonl", &lines(1));
        container.write("input/config/resourceconfig.json", &json!({"hosts": ["algo-1"]}).to_string());
        container
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.root.join(name), text).expect("a file");
    }

    fn channel(&self, name: &str, from: &Path) {
        let to = self.root.join("input/data").join(name);
        fs::create_dir_all(&to).expect("a directory");
        for file in listing(from) {
            fs::copy(from.join(&file), to.join(&file)).expect("a copy");
        }
    }

    fn hyperparameters(&self, more: Value) {
        let mut all = json!({
            "version": "2026-11-22.7", "labels": "hate,offensive", "epochs": "40", "batch_size": "8",
            "learning_rate": "3e-3", "head_learning_rate": "3e-3", "max_tokens": "12", "threads": "1",
            "base_name": "tiny", "base_licence": "none", "sagemaker_region": "nowhere",
        });
        for (name, value) in more.as_object().expect("a table") {
            all[name] = value.clone();
        }
        // A test leaves one out by null; SageMaker has no such value.
        all.as_object_mut().expect("a table").retain(|_, value| !value.is_null());
        self.write("input/config/hyperparameters.json", &all.to_string());
    }

    /// As SageMaker starts it.
    fn start(&self) -> Command {
        let mut command = program();
        command.args(["sagemaker", "train"]).env("MODLOOP_ML_ROOT", &self.root);
        command
    }

    fn model(&self) -> PathBuf {
        self.root.join("model")
    }

    fn reason(&self) -> String {
        fs::read_to_string(self.root.join("output/failure")).expect("a reason")
    }
}

#[test]
fn a_job_makes_a_bundle_and_the_next_goes_on_from_it() {
    let bench = Workbench::new();
    let first = Container::new(&bench, "first");
    first.channel("base", &bench.path("base"));
    first.hyperparameters(json!({}));
    let output = success(&mut first.start());
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("dev:macro_f1=") && told.contains("dev:hate:macro_f1="), "{told}");
    let bundle = Bundle::open(&first.model()).expect("a whole bundle");
    assert_eq!(bundle.version().as_str(), "2026-11-22.7");
    assert!(bundle.manifest().files.contains_key("model.safetensors"), "later training starts from it");
    assert!(listing(&first.root.join("checkpoints")).iter().all(|name| !name.ends_with(".resume")));

    // As it is stored: an archive, alone in its channel.
    let second = Container::new(&bench, "second");
    fs::create_dir_all(second.root.join("input/data/model")).expect("a directory");
    let archive = second.root.join("input/data/model/model.tar.gz");
    modloop_bundle::pack(&bundle, &archive).expect("packed");
    second.write("input/data/train/new.jsonl", &lines(0).replace("vile", "vile nasty"));
    second.channel("replay", &first.root.join("input/data/train"));
    second.hyperparameters(json!({
        "version": "2026-11-22.8", "labels": "hate,offensive,spam", "epochs": "1", "replay_share": "0.5",
        "only": "[\"spam=test\"]",
    }));
    let error = failure(&mut second.start());
    assert!(error.contains("says anything about spam"), "{error}");
    assert!(error.trim_end().ends_with(&second.reason()), "{error}");
    second.hyperparameters(
        json!({"version": "2026-11-22.8", "epochs": "1", "replay_share": "0.5", "seed": "2"}),
    );
    success(&mut second.start());
    let next = Bundle::open(&second.model()).expect("a whole bundle");
    assert_eq!(next.manifest().base_model, bundle.manifest().base_model, "what was pre-trained stays");
    assert!(next.manifest().data_sources[0].lines > bundle.manifest().data_sources[0].lines);
}

#[test]
fn a_failed_job_leaves_its_reason_and_no_model() {
    let bench = Workbench::new();
    let container = Container::new(&bench, "job");
    container.hyperparameters(json!({}));
    failure(&mut container.start());
    assert!(container.reason().contains("neither a channel \"model\" nor a channel \"base\""));
    container.channel("base", &bench.path("base"));
    for (hyperparameters, expected) in [
        (json!({"epoch": "2"}), "unexpected argument '--epoch'"),
        (json!({"labels": "hate,hate"}), "--labels names hate twice"),
        (json!({"labels": null}), "--labels <LABELS>"),
        (json!({"epochs": "many"}), "invalid value 'many' for '--epochs"),
        (json!({"version": "../x"}), "hyperparameter version"),
        (json!({"out": "/elsewhere"}), "hyperparameter out: where things are is said by the channels"),
    ] {
        container.hyperparameters(hyperparameters);
        failure(&mut container.start());
        assert!(container.reason().contains(expected), "{}", container.reason());
    }
    container.hyperparameters(json!({}));
    container.write("input/config/resourceconfig.json", &json!({"hosts": ["algo-1", "algo-2"]}).to_string());
    failure(&mut container.start());
    assert!(container.reason().contains("2 instances"), "{}", container.reason());
    // One class in dev: found when training is over and the bundle is calibrated.
    container.write("input/config/resourceconfig.json", &json!({"hosts": ["algo-1"]}).to_string());
    container.write("input/data/dev/gold.jsonl", &lines(1).replace("\"hate\":1", "\"hate\":0"));
    container.hyperparameters(json!({"epochs": "1"}));
    failure(&mut container.start());
    assert!(container.reason().contains("hate has 0 positive"), "{}", container.reason());
    assert!(listing(&container.model()).is_empty());
    assert!(container.reason().chars().count() <= 1024);
}

#[test]
fn an_interrupted_job_goes_on_from_its_checkpoints() {
    let bench = Workbench::new();
    let container = Container::new(&bench, "job");
    container.channel("base", &bench.path("base"));
    container.hyperparameters(json!({"epochs": "40", "checkpoint_every": "10"}));
    let mut child = container.start().stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
    let begun = Instant::now();
    while !container.root.join("checkpoints/trained.resume/step-20").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint within a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    assert!(child.wait().expect("it ended").success(), "a stop is no failure");
    assert!(listing(&container.model()).is_empty(), "and leaves no model");
    let output = success(&mut container.start());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("going on after step"), "{told}");
    Bundle::open(&container.model()).expect("a whole bundle");
}
