//! A run that is cut off and started again ends with the same weights as one that never was.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::workbench::{Workbench, failure, listing, success};

/// Dropout is on, so that a run which drew it anew would differ.
const RUN: [&str; 6] = ["--epochs", "30", "--dropout", "0.1", "--checkpoint-every", "7"];

/// Starts a run and waits until its checkpoint `step` is there.
fn until_step(command: &mut Command, bench: &Workbench, step: &str) -> Child {
    let child = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("the program starts");
    let begun = Instant::now();
    while !bench.path("cut.resume").join(step).exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint {step} within a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

#[test]
fn killed_twice_it_ends_with_the_same_weights() {
    let bench = Workbench::new();
    success(&mut bench.train("whole", &RUN));
    for step in ["step-35", "step-105"] {
        let mut child = until_step(&mut bench.train("cut", &RUN), &bench, step);
        child.kill().expect("kill -9");
        assert!(!child.wait().expect("it ended").success(), "it was killed in the middle");
    }
    let output = success(&mut bench.train("cut", &RUN));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("going on after step"), "{told}");
    assert_eq!(bench.weights("cut"), bench.weights("whole"));
    assert!(!bench.path("cut.resume").exists(), "a finished run leaves nothing to go on from");
}

#[test]
fn sigterm_saves_and_a_second_start_ends_the_same() {
    let bench = Workbench::new();
    let patient = [&RUN[..], &["--evaluate-every", "50", "--patience", "100"]].concat();
    success(&mut bench.train("whole", &patient));
    let mut child = until_step(&mut bench.train("cut", &patient), &bench, "step-63");
    // Twice, as a supervisor does that signals the process and its group.
    let pid = child.id().to_string();
    for _ in 0..2 {
        let _gone = Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
    }
    assert!(child.wait().expect("it ended").success(), "SIGTERM is no failure");
    assert!(bench.path("cut.resume").exists() && bench.path("cut").join("model.safetensors").exists());
    success(&mut bench.train("cut", &patient));
    assert_eq!(bench.weights("cut"), bench.weights("whole"));
}

#[test]
fn a_checkpoint_that_is_not_whole_is_passed_over() {
    let bench = Workbench::new();
    success(&mut bench.train("whole", &RUN));
    let mut child = until_step(&mut bench.train("cut", &RUN), &bench, "step-35");
    child.kill().expect("kill -9");
    child.wait().expect("it ended");
    let resume = bench.path("cut.resume");
    let newest =
        listing(&resume).into_iter().filter_map(|n| n.strip_prefix("step-")?.parse::<u32>().ok()).max();
    let newest = resume.join(format!("step-{}", newest.expect("a checkpoint")));
    let weights = std::fs::read(newest.join("optimizer.safetensors")).expect("the optimiser's memory");
    std::fs::write(newest.join("optimizer.safetensors"), &weights[..weights.len() / 2]).expect("cut off");
    let output = success(&mut bench.train("cut", &RUN));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("optimizer.safetensors") && told.contains("going on after step"), "{told}");
    assert_eq!(bench.weights("cut"), bench.weights("whole"));
}

#[test]
fn another_run_does_not_go_on_from_it() {
    let bench = Workbench::new();
    let mut child = until_step(&mut bench.train("cut", &RUN), &bench, "step-35");
    child.kill().expect("kill -9");
    child.wait().expect("it ended");
    let other = [&RUN[..4], &["--checkpoint-every", "7", "--learning-rate", "1e-3"]].concat();
    let error = failure(&mut bench.train("cut", &other));
    assert!(error.contains("differs in learning_rate") && error.contains("--fresh"), "{error}");
    bench.write("train.jsonl", &crate::workbench::lines(1));
    let error = failure(&mut bench.train("cut", &RUN));
    assert!(error.contains("differs in data_sha256"), "{error}");
    success(&mut bench.train("cut", &[&RUN[..], &["--fresh"]].concat()));
}
