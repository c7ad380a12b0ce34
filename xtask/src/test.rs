//! `test`: everything, each part with what it needs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use modloop_local::mlflow::{Mlflow, MlflowFiles};
use modloop_local::postgres::{Postgres, PostgresFiles};
use serde_json::Value;

use crate::layout::Layout;
use crate::once::{self, Once};
use crate::report::Stages;
use crate::runs::Scratch;
use crate::setup::{self, Needs, Tools, lint_templates};

/// Which parts to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Tests of every crate, with a real Postgres, MLflow, ONNX Runtime and the shipped model.
    Crates,
    /// The trainer's tests, with libtorch.
    Trainer,
    /// The templates, by `sam validate --lint` and cfn-lint.
    Templates,
    /// The deployed template: one plain pass, and one while things break.
    System,
}

impl Part {
    const ALL: [Part; 4] = [Part::Templates, Part::Crates, Part::Trainer, Part::System];
}

/// Runs the parts, all of them when none is named, and stops at the first that fails.
pub(crate) async fn run(layout: &Layout, parts: &[Part]) -> Result<()> {
    let parts = if parts.is_empty() { &Part::ALL[..] } else { parts };
    let needs = Needs { libtorch: parts.contains(&Part::Trainer), ..Needs::default() };
    let tools = setup::ensure(layout, needs).await?;
    let mut stages = Stages::default();
    for part in parts {
        match part {
            Part::Templates => {
                stages.run("lint the templates", async { lint_templates(layout, &tools) }).await?;
            }
            Part::Crates => test_crates(layout, &tools, &mut stages).await?,
            Part::Trainer => test_trainer(layout, &tools)?,
            Part::System => test_system(layout).await?,
        }
    }
    Ok(())
}

/// A Postgres and an MLflow of the tests' own, which start while the tests are compiled.
async fn test_crates(layout: &Layout, tools: &Tools, stages: &mut Stages) -> Result<()> {
    let scratch = Scratch::create(layout, "test", &std::process::id().to_string())?;
    let mut mlflow = Mlflow::launch(&MlflowFiles {
        program: tools.mlflow.clone(),
        folder: scratch.folder().join("mlflow"),
        log: scratch.folder().join("mlflow.log"),
    })?;
    let files = PostgresFiles {
        installation: tools.postgres.clone(),
        folder: scratch.folder().join("postgres"),
        log: scratch.folder().join("postgres.log"),
    };
    let postgres = stages.run("start Postgres for the tests", Postgres::start(files)).await?.throw_away();
    // The same set of packages as any other build here, so that libraries are compiled once.
    let test = ["test", "--locked", "--workspace", "--exclude", "modloop-trainer"];
    let mut compile = cargo(layout);
    compile.args(test).arg("--no-run");
    check(compile, "cargo test --no-run")?;
    stages.run("wait for MLflow", mlflow.ready()).await?;
    let mut run = cargo(layout);
    run.args(test).env("ORT_DYLIB_PATH", &tools.onnxruntime);
    run.env("DATABASE_URL", postgres.url()).env("MLFLOW_TRACKING_URI", mlflow.url());
    check(run, "cargo test")
}

fn test_trainer(layout: &Layout, tools: &Tools) -> Result<()> {
    let libtorch = tools.libtorch.as_ref().context("libtorch was not prepared")?;
    let mut command = cargo(layout);
    command.args(["test", "--locked", "--package", "modloop-trainer"]);
    command.env("LIBTORCH", libtorch).env("ORT_DYLIB_PATH", &tools.onnxruntime);
    check(command, "cargo test --package modloop-trainer")
}

/// Runs `up --once`, and reads its report as a program would.
async fn test_system(layout: &Layout) -> Result<()> {
    let mut passed = 0;
    for faults in [false, true] {
        let report = layout.home.join(format!("report-{}-{faults}.json", std::process::id()));
        let outcome = one_pass(layout, &report, faults).await;
        let _gone = std::fs::remove_file(&report);
        outcome?;
        passed += 1;
    }
    println!("system: {passed} passed, 0 failed");
    Ok(())
}

async fn one_pass(layout: &Layout, report: &Path, faults: bool) -> Result<()> {
    once::run(layout, Once { faults, report: Some(report.to_owned()) }).await?;
    let text =
        std::fs::read_to_string(report).with_context(|| format!("no report at {}", report.display()))?;
    judge(&serde_json::from_str(&text).context("the report is no JSON")?, faults)
}

/// What the report of a good pass says.
fn judge(report: &Value, faults: bool) -> Result<()> {
    let number = |path: &str| {
        report.pointer(path).and_then(Value::as_u64).with_context(|| format!("the report has no {path}"))
    };
    let fetched = number("/items/fetched")?;
    let expectations = [
        ("at least 500 items", fetched >= 500),
        ("stored = fetched", number("/items/stored")? == fetched),
        ("scored = fetched", number("/items/scored")? == fetched),
        ("lost = 0", number("/items/lost")? == 0),
        ("scored_twice = 0", number("/items/scored_twice")? == 0),
        ("only the poison dead-lettered", number("/items/dead_lettered")? == u64::from(faults)),
        ("most items are allowed", number("/decisions/allow")? * 2 > fetched),
        ("some items are flagged", number("/decisions/review")? + number("/decisions/remove")? > 0),
        ("the champion is in MLflow", number("/registry/version")? == 1),
        ("a drift verdict", report["drift"].is_string()),
        ("stand-ins are named", report["stand_ins"].as_array().is_some_and(|names| !names.is_empty())),
    ];
    for (what, holds) in expectations {
        if !holds {
            bail!("the report breaks {what:?}: {report:#}");
        }
    }
    Ok(())
}

fn cargo(layout: &Layout) -> Command {
    let mut command = modloop_local::package::cargo();
    command.current_dir(&layout.root);
    command
}

fn check(mut command: Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {what}"))?;
    if status.success() { Ok(()) } else { bail!("{what} failed ({status})") }
}
