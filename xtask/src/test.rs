//! `test`: everything, each part with what it needs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use modloop_local::mlflow::{Mlflow, MlflowFiles};
use modloop_local::postgres::{Postgres, PostgresFiles};
use serde_json::Value;

use crate::layout::Layout;
use crate::once::{self, Kind, Once};
use crate::report::Stages;
use crate::retrain::Scenario;
use crate::runs::Scratch;
use crate::setup::Tools;
use crate::stack::postgres_folder;

/// Which parts to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Licences, sources and bans of what is linked, and that every dependency is used.
    Dependencies,
    /// Tests of every crate, with a real Postgres, MLflow, ONNX Runtime and the shipped model.
    Crates,
    /// The trainer's tests, with libtorch.
    Trainer,
    /// The templates, by `sam validate --lint` and cfn-lint.
    Templates,
    /// The deployed template: a pass while things break, and three in which the loop closes, is refused by the
    /// gate, and rolls back.
    System,
}

impl Part {
    const ALL: [Part; 5] = [Part::Dependencies, Part::Templates, Part::Crates, Part::Trainer, Part::System];
}

/// Runs the parts, all of them when none is named, and stops at the first that fails.
pub(crate) async fn run(layout: &Layout, parts: &[Part]) -> Result<()> {
    let parts = if parts.is_empty() { &Part::ALL[..] } else { parts };
    let tools = Tools::new(layout)?;
    let mut stages = Stages::default();
    for part in parts {
        match part {
            Part::Dependencies => check_dependencies(layout, &tools.audit().await?)?,
            Part::Templates => {
                let linters = tools.linters().await?;
                stages.run("lint the templates", async { linters.check(layout) }).await?;
            }
            Part::Crates => test_crates(layout, &tools, &mut stages).await?,
            Part::Trainer => test_trainer(layout, &tools).await?,
            Part::System => test_system(layout).await?,
        }
    }
    Ok(())
}

/// Advisories are left out: their list lies in a Git repository, and tests fetch nothing.
fn check_dependencies(layout: &Layout, programs: &Path) -> Result<()> {
    let mut deny = Command::new(programs.join("cargo-deny"));
    deny.current_dir(&layout.root).args(["--offline", "--log-level", "warn", "check"]);
    deny.args(["bans", "licenses", "sources"]);
    check(deny, "cargo deny check")?;
    let mut shear = Command::new(programs.join("cargo-shear"));
    shear.current_dir(&layout.root).args(["shear", "--exclude", "workspace-hack"]);
    check(shear, "cargo shear")
}

/// A Postgres and an MLflow of the tests' own, which start while the tests are compiled.
async fn test_crates(layout: &Layout, tools: &Tools<'_>, stages: &mut Stages) -> Result<()> {
    let (mlflow, postgres) = (tools.mlflow().await?, tools.postgres().await?);
    let onnxruntime = tools.onnxruntime().await?;
    // Tests of the stand-ins look for it where it is put.
    tools.ministack().await?;
    let scratch = Scratch::create(layout, "test", &std::process::id().to_string())?;
    let mut mlflow = Mlflow::launch(&MlflowFiles {
        program: mlflow,
        folder: scratch.folder().join("mlflow"),
        log: scratch.folder().join("mlflow.log"),
    })?;
    let files = PostgresFiles {
        installation: postgres,
        folder: postgres_folder(scratch.folder()),
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
    run.args(test).env("ORT_DYLIB_PATH", onnxruntime);
    run.env("DATABASE_URL", postgres.url()).env("MLFLOW_TRACKING_URI", mlflow.url());
    check(run, "cargo test")
}

async fn test_trainer(layout: &Layout, tools: &Tools<'_>) -> Result<()> {
    let mut command = cargo(layout);
    command.args(["test", "--locked", "--package", "modloop-trainer"]);
    command.envs(tools.trainer().await?.environment());
    check(command, "cargo test --package modloop-trainer")
}

/// Runs `up --once` in each of its ways, and reads its report as a program would.
async fn test_system(layout: &Layout) -> Result<()> {
    let kinds = [
        Kind::Faults,
        Kind::Loop(Scenario::Mended),
        Kind::Loop(Scenario::WrongLabels),
        Kind::Loop(Scenario::BadCanary),
    ];
    for kind in kinds {
        println!("system: {kind:?}");
        let report = layout.home.join(format!("report-{}.json", std::process::id()));
        let outcome = one_pass(layout, &report, kind).await;
        let _gone = std::fs::remove_file(&report);
        outcome?;
    }
    println!("system: {} passed, 0 failed", kinds.len());
    Ok(())
}

async fn one_pass(layout: &Layout, report: &Path, kind: Kind) -> Result<()> {
    once::run(layout, Once { kind, report: Some(report.to_owned()) }).await?;
    let text =
        std::fs::read_to_string(report).with_context(|| format!("no report at {}", report.display()))?;
    let report: Value = serde_json::from_str(&text).context("the report is no JSON")?;
    expect(&report, &every_pass(&report, kind)?)?;
    match kind {
        Kind::Faults => Ok(()),
        Kind::Loop(Scenario::Mended) => expect(&report, &mended(&report)?),
        Kind::Loop(Scenario::WrongLabels) => expect(&report, &ended_by_the_gate(&report)),
        Kind::Loop(Scenario::BadCanary) => expect(&report, &rolled_back(&report)),
    }
}

type Expectation = (&'static str, bool);

fn expect(report: &Value, expectations: &[Expectation]) -> Result<()> {
    for (what, holds) in expectations {
        ensure!(holds, "the report breaks {what:?}: {report:#}");
    }
    Ok(())
}

/// What the report of every good pass says.
fn every_pass(report: &Value, kind: Kind) -> Result<Vec<Expectation>> {
    let number = |path: &str| {
        report.pointer(path).and_then(Value::as_u64).with_context(|| format!("the report has no {path}"))
    };
    let (fetched, faults) = (number("/items/fetched")?, kind == Kind::Faults);
    // Of its versions the shipped champion is the first.
    let champion = if kind == Kind::Loop(Scenario::Mended) { 2 } else { 1 };
    Ok(vec![
        ("at least 500 items", fetched >= 500),
        ("stored = fetched", number("/items/stored")? == fetched),
        ("scored = fetched", number("/items/scored")? == fetched),
        ("lost = 0", number("/items/lost")? == 0),
        ("scored_twice = 0", number("/items/scored_twice")? == 0),
        ("only the poison dead-lettered", number("/items/dead_lettered")? == u64::from(faults)),
        ("most items are allowed", number("/decisions/allow")? * 2 > fetched),
        ("some items are flagged", number("/decisions/review")? + number("/decisions/remove")? > 0),
        ("MLflow knows the champion", number("/registry/version")? == champion),
        ("no drift before the shift", report["drift"] != "drift"),
        ("stand-ins are named", report["stand_ins"].as_array().is_some_and(|names| !names.is_empty())),
        ("retraining follows a shift", report["retrain"].is_object() != faults),
    ])
}

/// The new champion finds the shifted language, and loses nothing.
fn mended(report: &Value) -> Result<Vec<Expectation>> {
    let retrain = &report["retrain"];
    let share = |name: &str| retrain[name].as_f64().with_context(|| format!("retrain has no {name}"));
    Ok(vec![
        ("the challenger took over", retrain["state"] == "champion" && retrain["gate"] == "promote"),
        ("it decides", retrain["version"] == report["model"]),
        ("labels cost little", share("cost")? > 0.0 && share("cost")? < 2.0),
        ("recall rises by 30 points", share("recall_after")? - share("recall_before")? >= 0.3),
        ("the usual talk loses none", share("ordinary_after")? >= share("ordinary_before")?),
        // Not one left would mean that it goes by single words. They are a dozen or two a run.
        ("most harmless uses of the code's words are left alone", share("innocent_after")? > 0.5),
    ])
}

fn ended_by_the_gate(report: &Value) -> Vec<Expectation> {
    let retrain = &report["retrain"];
    vec![
        ("the gate refused", retrain["state"] == "rejected" && retrain["gate"] == "refuse"),
        ("the champion stays", retrain["version"] != report["model"]),
    ]
}

fn rolled_back(report: &Value) -> Vec<Expectation> {
    let retrain = &report["retrain"];
    vec![
        ("it passed the gate", retrain["gate"] == "promote"),
        ("it was rolled back", retrain["state"] == "rolled_back"),
        ("the champion stays", retrain["version"] != report["model"]),
    ]
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
