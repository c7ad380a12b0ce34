//! Whatever is wrong is said in words that lead out of it, and nothing half-written stays.

use std::process::Command;

use serde_json::json;

use crate::workbench::{Workbench, failure, lines, listing, success};

/// The program started by a shell that limits it first.
fn limited(limit: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{limit}; exec \"$0\" \"$@\""));
    shell.arg(command.get_program()).args(command.get_args());
    shell
}

#[test]
fn what_cannot_be_trained_on_is_named() {
    let bench = Workbench::new();
    let good = lines(0);
    let mut faults = vec![(format!("{good}{{\"text\":"), "train.jsonl:37: is no JSON object")];
    faults.push((good.replace("\"offensive\"", "\"offence\""), "says anything about offensive"));
    faults.push((good.replace("\"hate\":1", "\"hate\":0"), "has hate = 1; both classes are needed"));
    faults.push((
        format!("{good}{{\"text\":\"a\",\"source\":\"s\",\"hate\":3}}"),
        "hate is 3; expected 0, 1 or null",
    ));
    for (text, expected) in faults {
        bench.write("train.jsonl", &text);
        let error = failure(&mut bench.train("out", &[]));
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(listing(bench.dir.path()), ["base", "dev.jsonl", "train.jsonl"]);
}

#[test]
fn a_base_model_of_another_kind_or_with_holes_is_named() {
    let bench = Workbench::new();
    let gone = "encoder.layer.1.output.dense.bias";
    crate::tiny::write_base(&bench.path("base"), "bert.", |name| name != gone);
    let error = failure(&mut bench.train("out", &[]));
    assert!(error.contains("model.safetensors has no tensor") && error.contains(gone), "{error}");
    let mut config = crate::tiny::config_json();
    config["model_type"] = json!("roberta");
    bench.write("base/config.json", &config.to_string());
    let error = failure(&mut bench.train("out", &[]));
    assert!(error.contains("model_type is roberta; only bert can be trained"), "{error}");
}

#[test]
fn a_full_disk_keeps_the_last_checkpoint() {
    let bench = Workbench::new();
    success(&mut bench.train("out", &[]));
    let before = bench.weights("out");
    // The weights take 120 kB; a limit on the size of files says the same as a full disk, without one.
    let command = bench.train("out", &["--epochs", "2", "--checkpoint-every", "3"]);
    let error = failure(&mut limited("trap '' XFSZ; ulimit -f 64", &command));
    assert!(error.contains("cannot write") && error.contains("model.safetensors"), "{error}");
    assert_eq!(bench.weights("out"), before);
    assert!(listing(&bench.path("out.resume")).is_empty(), "nothing half-written");
}

#[test]
fn memory_that_runs_out_is_said_with_what_to_lower() {
    let bench = Workbench::new();
    bench.write("train.jsonl", &lines(0).repeat(1500));
    // Room for the program and libtorch, but not for 50,000 lines at once.
    let command = bench.train("out", &["--batch-size", "50000"]);
    let error = failure(&mut limited("ulimit -v 1600000", &command));
    assert!(error.contains("out of memory: lower --batch-size"), "{error}");
}

#[test]
fn a_recipe_says_what_options_say() {
    let bench = Workbench::new();
    success(
        &mut bench.train("by-options", &["--epochs", "3", "--limit", "test=30", "--learning-rate", "1e-3"]),
    );
    bench.write("recipe.toml", "epochs = 9\nlearning_rate = 1e-3\n[limit]\ntest = 30\n");
    let recipe = bench.path("recipe.toml").display().to_string();
    success(&mut bench.train("by-recipe", &["--recipe", &recipe, "--epochs", "3"]));
    assert_eq!(bench.weights("by-recipe"), bench.weights("by-options"));
    bench.write("recipe.toml", "epoch = 9\n");
    let output = bench.train("other", &["--recipe", &recipe]).output().expect("the program starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("--epoch"), "{told}");
}

#[test]
fn rules_for_sources_that_the_data_lacks_are_mistakes_unless_they_may_be() {
    let bench = Workbench::new();
    let error = failure(&mut bench.train("out", &["--limit", "tset=30"]));
    assert!(error.contains("the data has no source \"tset\""), "{error}");
    let output = success(&mut bench.train("out", &["--limit", "tset=30", "--skip-absent-sources"]));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("the data has no source tset: its rules are passed over"), "{told}");
}

#[test]
fn older_lines_are_mixed_in() {
    let bench = Workbench::new();
    bench.write("old.jsonl", &lines(1).replace("\"test\"", "\"old\""));
    let old = bench.path("old.jsonl").display().to_string();
    let output = success(&mut bench.train("out", &["--replay", &old, "--replay-share", "0.25"]));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("replay 12 lines an epoch, 25 % of it"), "{told}");
    let record = std::fs::read_to_string(bench.path("out/training.json")).expect("a record");
    assert!(record.contains("\"old\"") && record.contains("\"planned\": 6"), "{record}");
}
