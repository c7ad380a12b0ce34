//! `modloop evaluate` as an operator runs it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use modloop_bundle::testing;
use serde_json::Value;

fn evaluate(dir: &Path, data: &str, extra: &[&str]) -> Output {
    let library = std::env::var("ORT_DYLIB_PATH")
        .expect("ORT_DYLIB_PATH names no ONNX Runtime library: run `cargo xtask test`, which sets it");
    let data_file = dir.join("data.jsonl");
    fs::write(&data_file, data).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_modloop"));
    command.arg("evaluate").arg("--bundle").arg(dir.join("bundle")).arg("--data").arg(&data_file);
    command.args(extra).current_dir(dir).env("ORT_DYLIB_PATH", library);
    command.output().expect("it runs")
}

const DATA: &str = r#"{"source":"forum","text":"good dog","hate":0,"offensive":0}
{"source":"forum","text":"bad dog","hate":0,"offensive":1}

{"source":"chat","text":"hate hate","hate":1,"offensive":null}
"#;

#[test]
fn the_table_names_sources_and_the_page_is_written() {
    let dir = tempfile::tempdir().expect("a folder");
    testing::bundle(&dir.path().join("bundle"), "tiny-1", 5);
    let output = evaluate(dir.path(), DATA, &["--out", "report"]);
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    for words in ["tiny-1", "prevalence", "forum", "functional suite, hate", "report/evaluation.html"] {
        assert!(table.contains(words), "{words:?} is not in\n{table}");
    }
    let page = fs::read_to_string(dir.path().join("report/evaluation.html")).expect("a page");
    assert!(page.contains("Evaluation of tiny-1") && page.contains("<svg "));
    let left: Vec<_> = fs::read_dir(dir.path().join("report")).expect("a folder").collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn json_holds_every_case_and_every_identity() {
    let dir = tempfile::tempdir().expect("a folder");
    testing::bundle(&dir.path().join("bundle"), "tiny-1", 5);
    let output = evaluate(dir.path(), DATA, &["--json"]);
    assert!(output.status.success(), "{output:?}");
    let evaluation: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(evaluation["model"], "tiny-1");
    assert_eq!(evaluation["by_label"]["hate"]["overall"]["items"], 3);
    assert_eq!(evaluation["by_label"]["offensive"]["overall"]["items"], 2);
    assert!(evaluation["suite"]["cases"].as_array().expect("cases").len() > 250);
    assert!(evaluation["identities"]["terms"].as_array().expect("terms").len() >= 40);
    let file = fs::read(dir.path().join("evaluation/evaluation.json")).expect("written too");
    assert_eq!(serde_json::from_slice::<Value>(&file).expect("JSON"), evaluation);
}

#[test]
fn broken_input_is_named_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    testing::bundle(&dir.path().join("bundle"), "tiny-1", 5);
    for (data, words) in [
        ("{\"source\":\"a\",\"text\":\"x\"}\n{oops\n", "data.jsonl, line 2"),
        ("{\"source\":\"a\",\"text\":\"x\",\"spam\":1}\n", "there is nothing to measure"),
        ("", "there is nothing to measure"),
    ] {
        let output = evaluate(dir.path(), data, &[]);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(error.contains(words), "{words:?} is not in {error}");
        assert!(!dir.path().join("evaluation").exists());
    }
}
