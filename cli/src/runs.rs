//! `modloop runs`: training runs, and the whole story of one.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use modloop_gate::{GateReport, TrialReport};
use modloop_operator::Operator;
use modloop_store::runs::{Run, RunEvent};
use serde_json::{Value, json};

use crate::database::{DatabaseArgs, actor};
use crate::status::{ago, one_line};
use crate::table::table;

/// List training runs, newest first; `show` tells the whole story of one.
#[derive(Debug, Args)]
pub struct RunsArgs {
    #[command(subcommand)]
    what: Option<RunsCommand>,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Show at most this many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
    /// Tell the story of one run: steps, cost, the gate's and the trial's numbers, and why it ended.
    Show {
        /// Number of the run, the first column of `modloop runs`.
        id: i64,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Stop a run: its next step ends it, and stops its training job or its trial.
    Stop {
        /// Number of the run, the first column of `modloop runs`.
        id: i64,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Prints them once.
pub async fn run(args: RunsArgs) -> Result<()> {
    match args.what {
        Some(RunsCommand::Show { id, database }) => {
            let store = database.connect().await?;
            let found = store.run(id).await?;
            let found = found.with_context(|| format!("there is no run {id}; `modloop runs` lists them"))?;
            let story = store.story(id).await?;
            database.print(&json!({"run": found, "story": story}), || whole(&found, &story))
        }
        Some(RunsCommand::Stop { id, database }) => {
            let store = database.connect().await?;
            let stopping = Operator::new(&store, actor()?).stop_run(id).await?;
            database.print(&stopping, || {
                format!("Run {id} stops with its next step, within a few minutes. Track it with `modloop runs show {id}`.")
            })
        }
        None => {
            let runs = args.database.connect().await?.runs(args.limit).await?;
            args.database.print(&runs, || list(&runs, Utc::now()))
        }
    }
}

/// One line a run.
pub fn list(runs: &[Run], now: DateTime<Utc>) -> String {
    if runs.is_empty() {
        return "No training runs yet. `modloop retrain` asks for one.".to_owned();
    }
    let mut table = table(&["run", "state", "since", "asked by", "challenger", "reason"]);
    for run in runs {
        let reason = run.reason.as_deref().unwrap_or(&run.request);
        table.add_row([
            run.id.to_string(),
            run.state.to_string(),
            ago(now, run.state_since),
            run.requested_by.as_str().to_owned(),
            run.challenger_version.to_string(),
            one_line(reason).chars().take(80).collect(),
        ]);
    }
    table.to_string()
}

/// Everything about one run, in the order in which it happened.
pub fn whole(run: &Run, story: &[RunEvent]) -> String {
    let mut text = format!("run {}, {}\n", run.id, run.state);
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "  {name:<12} {}", one_line(&value));
        }
    };
    line("asked by", Some(format!("{}: {}", run.requested_by.as_str(), run.request)));
    line("champion", run.champion_version.as_ref().map(ToString::to_string));
    line("challenger", Some(run.challenger_version.to_string()));
    line("labels", run.labeling.as_ref().map(labeling));
    line("data set", run.data_set_uri.clone());
    line("hash", run.data_set_hash.clone());
    line("job", run.job_name.clone());
    line("job took", run.job_seconds.map(|seconds| format!("{seconds} s")));
    line("bundle", run.bundle_uri.clone());
    line("registry", run.registered_version.clone());
    line("reason", run.reason.clone());
    text.push_str("\nstory\n");
    for event in story {
        let at = event.at.format("%Y-%m-%d %H:%M:%S");
        let _ =
            writeln!(text, "  {at}  {:<11} {}{}", event.state, one_line(&event.what), facts(&event.facts));
    }
    if let Some(report) = run.gate.as_ref().and_then(read::<GateReport>) {
        let _ = write!(text, "\ngate\n{report}");
    }
    for (mode, report) in run.trial.iter().filter_map(Value::as_object).flatten() {
        if let Some(report) = read::<TrialReport>(report) {
            let _ = writeln!(text, "\n{mode}: {}", report.reason);
            report.checks.iter().for_each(|check| {
                let _ = writeln!(text, "  {check}");
            });
        }
    }
    text
}

/// Short facts; long ones are in the JSON.
fn facts(facts: &Value) -> String {
    let plain = facts.as_object().into_iter().flatten().filter(|(_, v)| v.is_number() || v.is_string());
    let plain: Vec<String> =
        plain.map(|(name, value)| format!("{name} {}", one_line(&plain_text(value)))).collect();
    if plain.is_empty() { String::new() } else { format!(" ({})", plain.join(", ")) }
}

fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn labeling(labeling: &Value) -> String {
    let dollars = labeling["cost_micros"].as_f64().unwrap_or_default() / 1e6;
    format!("{} items, {} tokens, ${dollars:.4}", labeling["labeled"], labeling["tokens"])
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}
