use std::path::Path;
use std::process::Command;

use modloop_bundle::testing::bundle;

/// Starts the function with nothing in its environment but `variables` and returns what it says as it
/// gives up.
fn refusal(variables: &[(&str, &Path)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_modloop-inference"))
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("the function starts");
    assert!(!output.status.success());
    let log = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a JSON line"));
    let refused = lines.rev().find(|line| line["message"] == "inference cannot start");
    refused.expect("it says why")["reason"].as_str().expect("a reason").to_owned()
}

#[test]
fn a_missing_variable_is_named() {
    let reason = refusal(&[]);
    assert!(reason.contains("DATABASE_SECRET_ARN is not set"), "{reason}");
}

#[test]
fn an_unknown_backend_is_refused_with_the_words_that_may_stand_there() {
    let reason = refusal(&[
        ("DATABASE_SECRET_ARN", Path::new("arn:aws:secretsmanager:eu-west-1:1:secret:database")),
        ("BUNDLE_DIR", Path::new("/nowhere")),
        ("ORT_DYLIB_PATH", Path::new("/nowhere/libonnxruntime.so")),
        ("MODLOOP_BACKEND", Path::new("gpu")),
    ]);
    assert!(
        reason.contains("MODLOOP_BACKEND") && reason.contains("auto, kernels or onnxruntime"),
        "{reason}"
    );
}

#[test]
fn a_missing_runtime_library_and_a_broken_bundle_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let bundle = bundle(&folder.path().join("bundle"), "v1", 3);
    let nowhere = Path::new("/nowhere/libonnxruntime.so");
    let variables = [
        ("DATABASE_SECRET_ARN", Path::new("arn:aws:secretsmanager:eu-west-1:1:secret:database")),
        ("BUNDLE_DIR", bundle.dir()),
        ("ORT_DYLIB_PATH", nowhere),
        // The kernels look for no library.
        ("MODLOOP_BACKEND", Path::new("onnxruntime")),
        ("AWS_REGION", Path::new("eu-west-1")),
        ("AWS_ACCESS_KEY_ID", Path::new("none")),
        ("AWS_SECRET_ACCESS_KEY", Path::new("none")),
        // Nobody answers there.
        ("AWS_ENDPOINT_URL", Path::new("http://127.0.0.1:9")),
    ];
    let reason = refusal(&variables);
    assert!(reason.contains("/nowhere/libonnxruntime.so") && reason.contains("ORT_DYLIB_PATH"), "{reason}");

    let tokenizer = bundle.path("tokenizer.json");
    let text = std::fs::read_to_string(&tokenizer).expect("reads").replace("hello", "jello");
    std::fs::write(&tokenizer, text).expect("writes");
    let reason = refusal(&variables);
    assert!(reason.contains("tokenizer.json has blake3"), "{reason}");
}
