//! `modloop drift` as an operator runs it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn drift(folder: &Path, reference: &str, current: &str) -> Output {
    fs::write(folder.join("reference.txt"), reference).expect("written");
    fs::write(folder.join("current.txt"), current).expect("written");
    Command::new(env!("CARGO_BIN_EXE_modloop"))
        .args(["drift", "--reference", "reference.txt", "--current", "current.txt"])
        .current_dir(folder)
        .output()
        .expect("modloop runs")
}

fn lines(numbers: impl Iterator<Item = f64>) -> String {
    numbers.map(|n| format!("{n}\n")).collect()
}

#[test]
fn a_ramp_against_its_square_has_the_published_distances() {
    let folder = tempfile::tempdir().expect("a folder");
    let ramp = || (0..200).map(|i| f64::from((37 * i) % 200) / 200.0);
    let output = drift(folder.path(), &lines(ramp()), &lines(ramp().map(|x| x * x)));
    assert!(output.status.success(), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for (name, expected) in [
        ("/psi", 0.390897),
        ("/js_distance", 0.216710),
        ("/kl", 0.176810),
        ("/wasserstein_normed", 0.577343),
        ("/ks/statistic", 0.25),
    ] {
        let value = found.pointer(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
        assert!((value - expected).abs() <= 1e-6, "{name}: {value} instead of {expected}");
    }
    assert!(found.pointer("/ks/p").and_then(Value::as_f64).is_some_and(|p| p < 1e-5), "{found}");
    assert_eq!((&found["reference_items"], &found["current_items"]), (&200.into(), &200.into()));
}

#[test]
fn what_is_no_number_is_named_with_file_and_line() {
    let folder = tempfile::tempdir().expect("a folder");
    for (current, named) in [
        ("0.1\n\nabc\n", "current.txt, line 3: \"abc\" is no finite number"),
        ("0.1\nNaN\n", "current.txt, line 2: \"NaN\" is no finite number"),
        ("\n\n", "current.txt: there are no numbers to compare"),
    ] {
        let output = drift(folder.path(), "1\n2\n", current);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(named) && output.stdout.is_empty(), "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_modloop"))
        .args(["drift", "--reference", "/no/such/file", "--current", "/no/such/file"])
        .output()
        .expect("modloop runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("cannot read /no/such/file"), "{error}");
}

#[test]
fn a_reader_that_has_had_enough_is_no_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("numbers.txt"), "1\n2\n3\n").expect("written");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_modloop"))
        .args(["drift", "--reference", "numbers.txt", "--current", "numbers.txt"])
        .current_dir(folder.path())
        .stdout(writer)
        .output()
        .expect("modloop runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
