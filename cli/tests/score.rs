//! The program as an operator runs it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use modloop_bundle::testing;
use serde_json::{Value, json};

fn modloop_score(bundle: &Path) -> Command {
    let library = std::env::var("ORT_DYLIB_PATH")
        .expect("ORT_DYLIB_PATH names no ONNX Runtime library: run `cargo xtask test`, which sets it");
    let mut command = Command::new(env!("CARGO_BIN_EXE_modloop"));
    command.arg("score").arg("--bundle").arg(bundle).env("ORT_DYLIB_PATH", library);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn score(bundle: &Path, input: &[u8]) -> Output {
    let mut program = modloop_score(bundle).spawn().expect("it starts");
    program.stdin.take().expect("a pipe").write_all(input).expect("it reads");
    program.wait_with_output().expect("it ends")
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// The shipped bundle where the repository holds it, and a tiny one.
fn bundles(dir: &Path) -> Vec<PathBuf> {
    let tiny = dir.join("bundle");
    testing::bundle(&tiny, "tiny-1", 5);
    let champion = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/champion");
    [tiny, champion].into_iter().filter(|path| path.exists()).collect()
}

#[test]
fn lines_come_out_in_the_order_they_went_in() {
    let dir = tempfile::tempdir().expect("a folder");
    for bundle in bundles(dir.path()) {
        let input: String =
            (0..300).map(|i| format!("{}\n", json!({"id": i, "text": "bad dog ".repeat(i % 50)}))).collect();
        let output = score(&bundle, input.as_bytes());
        assert!(output.status.success(), "{output:?}");
        let lines = lines(&output);
        assert_eq!(lines.len(), 300);
        for (i, line) in lines.iter().enumerate() {
            let keys: Vec<_> = line.as_object().expect("an object").keys().collect();
            assert_eq!(keys, ["id", "scores", "decision", "model"]);
            assert_eq!(line["id"], i);
            let scores: Vec<_> = line["scores"].as_object().expect("scores").values().collect();
            assert!(scores.iter().all(|p| (0.0..=1.0).contains(&p.as_f64().expect("a number"))), "{line}");
            assert!(["allow", "review", "remove"].contains(&line["decision"].as_str().expect("a word")));
        }
        assert_eq!(lines[0]["scores"], lines[50]["scores"], "the same text scores the same");
    }
}

#[test]
fn broken_lines_are_reported_in_place_and_the_others_scored() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = bundles(dir.path()).remove(0);
    let input = b"{\"id\":\"a\",\"text\":\"good \\ud83d cat\"}\n\n{\"id\":\"b\"}\nnot json\n\xff\xfe\n{\"id\":\"c\",\"text\":\"\"}";
    let output = score(&bundle, input);
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    assert_eq!(lines.len(), 5);
    assert_eq!((&lines[0]["id"], &lines[4]["id"]), (&json!("a"), &json!("c")));
    assert!(lines[4]["scores"]["hate"].is_number());
    for (line, number, words) in
        [(1, 3, "missing field `text`"), (2, 4, "not of the form"), (3, 5, "not UTF-8")]
    {
        assert_eq!((&lines[line]["id"], &lines[line]["line"]), (&Value::Null, &json!(number)));
        assert!(lines[line]["error"].as_str().expect("words").contains(words), "{}", lines[line]);
    }
}

#[test]
fn an_answer_comes_before_the_next_question() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut program = modloop_score(&bundles(dir.path())[0]).spawn().expect("it starts");
    let mut input = program.stdin.take().expect("a pipe");
    let mut output = BufReader::new(program.stdout.take().expect("a pipe"));
    for id in ["first", "second"] {
        writeln!(input, "{}", json!({"id": id, "text": "hello world"})).expect("it reads");
        let mut answer = String::new();
        output.read_line(&mut answer).expect("it answers");
        assert_eq!(serde_json::from_str::<Value>(&answer).expect("JSON")["id"], id);
    }
    drop(input);
    assert!(program.wait().expect("it ends").success());
}

#[test]
fn it_ends_quietly_when_nobody_reads_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut program = modloop_score(&bundles(dir.path())[0]).spawn().expect("it starts");
    drop(program.stdout.take());
    let mut input = program.stdin.take().expect("a pipe");
    // The program may be gone before all is written.
    let _ = input.write_all(b"{\"id\":1,\"text\":\"a\"}\n");
    let output = program.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    drop(input);
}

#[test]
fn what_is_missing_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = score(&dir.path().join("nothing"), b"");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("bundle.json is missing"), "{said}");

    let bundle = bundles(dir.path()).remove(0);
    let output = modloop_score(&bundle)
        .arg("--runtime-library")
        .arg("/nowhere/lib.so")
        .env("MODLOOP_BACKEND", "onnxruntime")
        .output()
        .expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("/nowhere/lib.so") && said.contains("ORT_DYLIB_PATH"),
        "{said}"
    );
}
