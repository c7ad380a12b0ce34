//! Training that goes on from a bundle knows what the bundle knew.

use std::path::Path;

use crate::workbench::{Workbench, failure, program, success};

/// So slow that nothing is forgotten and nothing learnt.
const HARDLY: [&str; 4] = ["--learning-rate", "1e-12", "--head-learning-rate", "1e-12"];

/// What the last line `dev:LABEL:macro_f1=…;` on stdout says.
fn macro_f1(output: &std::process::Output, label: &str) -> f64 {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let start = format!("dev:{label}:macro_f1=");
    let found =
        text.lines().rev().find_map(|line| line.strip_prefix(&start)?.split(';').next()?.parse().ok());
    found.unwrap_or_else(|| panic!("no {start} in {text}"))
}

fn bundle(bench: &Workbench, out: &Path, more: &[&str]) {
    let mut command = program();
    command.arg("bundle").arg("--checkpoint").arg(bench.path("taught")).arg("--out").arg(out);
    command.arg("--dev").arg(bench.path("dev.jsonl")).args(["--version", "2026-11-22.1"]).args(more);
    success(&mut command);
}

#[test]
fn a_bundle_with_or_without_weights_is_gone_on_from() {
    let bench = Workbench::new();
    let taught = ["--epochs", "40", "--learning-rate", "3e-3", "--head-learning-rate", "3e-3"];
    assert_eq!(macro_f1(&success(&mut bench.train("taught", &taught)), "hate"), 1.0);
    // Its weights are halved in the one and restored from eight bits in the other.
    for (name, more) in [("with", &["--include-weights"][..]), ("without", &[])] {
        let place = bench.path(name);
        bundle(&bench, &place, more);
        assert_eq!(place.join("model.safetensors").exists(), name == "with");
        let start = place.display().to_string();
        let mut command = bench.train_from(&start, &format!("on-{name}"), &HARDLY);
        let output = success(command.args(["--labels", "hate,offensive"]));
        assert_eq!(macro_f1(&output, "hate"), 1.0, "{name} weights");
        assert_eq!(macro_f1(&output, "offensive"), 1.0, "{name} weights");
    }
}

#[test]
fn a_new_label_starts_fresh_and_the_known_ones_stay() {
    let bench = Workbench::new();
    let taught = ["--epochs", "40", "--learning-rate", "3e-3", "--head-learning-rate", "3e-3"];
    success(&mut bench.train("taught", &taught));
    let spam = |text: String| {
        text.replace("\"hate\"", "\"spam\":1,\"hate\"").replacen("\"spam\":1", "\"spam\":0", 12)
    };
    for (name, variant) in [("train.jsonl", 0), ("dev.jsonl", 1)] {
        bench.write(name, &spam(crate::workbench::lines(variant)));
    }
    let start = bench.path("taught").display().to_string();
    let mut command = bench.train_from(&start, "out", &HARDLY);
    // The order of the labels may change too.
    command.args(["--base-name", "tiny", "--base-licence", "none"]);
    let output = success(command.args(["--labels", "spam,offensive,hate"]));
    assert_eq!(macro_f1(&output, "hate"), 1.0);
    assert_eq!(macro_f1(&output, "offensive"), 1.0);
    assert!(macro_f1(&output, "spam") < 1.0, "nothing can be known about it");
}

#[test]
fn a_bundle_that_was_changed_is_refused() {
    let bench = Workbench::new();
    success(&mut bench.train("taught", &["--epochs", "40", "--learning-rate", "3e-3"]));
    let place = bench.path("bundle");
    bundle(&bench, &place, &[]);
    let graph = std::fs::read(place.join("model.onnx")).expect("a graph");
    std::fs::write(place.join("model.onnx"), &graph[..graph.len() - 1]).expect("cut off");
    let mut command = bench.train_from(&place.display().to_string(), "out", &[]);
    let error = failure(command.args(["--labels", "hate,offensive"]));
    assert!(error.contains("model.onnx has") && error.contains("bundle.json says"), "{error}");
}
