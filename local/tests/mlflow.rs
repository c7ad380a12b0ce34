//! MLflow itself, as `cargo xtask` prepared it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use modloop_local::mlflow::{Mlflow, MlflowFiles};
use serde_json::{Value, json};

fn program() -> Result<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a workspace")?;
    let home = std::env::var_os("MODLOOP_HOME").map_or_else(|| repository.join(".modloop"), PathBuf::from);
    let program = home.join("tools/mlflow/bin/mlflow");
    ensure!(program.exists(), "{} is missing: run `cargo xtask test`, which prepares it", program.display());
    Ok(program)
}

async fn experiment(mlflow: &Mlflow, call: reqwest::Method, path: &str) -> Result<Value> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{}/api/2.0/mlflow/experiments/{path}", mlflow.url());
    let request = http.request(call, url).header("content-type", "application/json");
    let text = request.body(json!({ "name": "kept" }).to_string()).send().await?.text().await?;
    serde_json::from_str(&text).with_context(|| text)
}

/// What the kernel says of the processes of a group that still run.
fn members(group: i32) -> Result<String> {
    let output = Command::new("sh")
        .args([
            "-c",
            &format!("cat /proc/[0-9]*/stat 2>/dev/null | grep -E '\\) [^Z] [0-9]+ {group} ' || true"),
        ])
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn mlflow_keeps_its_data_and_its_address_and_leaves_no_process() -> Result<()> {
    let place = tempfile::tempdir()?;
    let files = MlflowFiles {
        program: program()?,
        folder: place.path().join("mlflow"),
        log: place.path().join("mlflow.log"),
    };
    let mut mlflow = Mlflow::launch(&files)?;
    let second = Mlflow::launch(&files).expect_err("one is running").to_string();
    assert!(second.starts_with("another run uses "), "{second}");
    mlflow.ready().await?;
    experiment(&mlflow, reqwest::Method::POST, "create").await?;
    let (url, group) = (mlflow.url().to_owned(), mlflow.process_group());
    assert!(!members(group)?.is_empty());
    drop(mlflow);
    assert_eq!(members(group)?, "", "left behind");

    let mut mlflow = Mlflow::launch(&files)?;
    assert_eq!(mlflow.url(), url);
    mlflow.ready().await?;
    let kept = experiment(&mlflow, reqwest::Method::GET, "get-by-name?experiment_name=kept").await?;
    assert_eq!(kept["experiment"]["name"], "kept");
    Ok(())
}

#[tokio::test]
async fn one_that_cannot_start_says_why() -> Result<()> {
    let place = tempfile::tempdir()?;
    let files = MlflowFiles {
        program: "/no/such/mlflow".into(),
        folder: place.path().join("mlflow"),
        log: place.path().join("mlflow.log"),
    };
    let error = Mlflow::launch(&files)?.ready().await.expect_err("nothing to run").to_string();
    assert!(error.contains("/no/such/mlflow"), "{error}");
    Ok(())
}
