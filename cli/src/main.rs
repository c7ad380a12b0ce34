//! `modloop`: what an operator types.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use modloop_cli::assemble::{self, AssembleArgs};
use modloop_cli::drift::{self, DriftArgs};
use modloop_cli::evaluate::{self, EvaluateArgs};
use modloop_cli::labels::{self, LabelsArgs};
use modloop_cli::models::{self, ModelsArgs};
use modloop_cli::retrain::{self, RetrainArgs};
use modloop_cli::runs::{self, RunsArgs};
use modloop_cli::score::{self, ScoreArgs};
use modloop_cli::status::{self, StatusArgs};

/// Scores texts, shows a running Modloop, and retrains and switches its models.
#[derive(Debug, Parser)]
#[command(name = "modloop", version, arg_required_else_help = true)]
struct Modloop {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Score(ScoreArgs),
    Status(StatusArgs),
    Drift(DriftArgs),
    Assemble(AssembleArgs),
    Evaluate(EvaluateArgs),
    Retrain(RetrainArgs),
    Runs(RunsArgs),
    Labels(LabelsArgs),
    Models(ModelsArgs),
}

fn main() -> ExitCode {
    match run(Modloop::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("modloop: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Score(args) => score::run(args),
        Command::Drift(args) => drift::run(args).map(|()| ExitCode::SUCCESS),
        Command::Evaluate(args) => evaluate::run(args).map(|()| ExitCode::SUCCESS),
        Command::Assemble(args) => assemble::run(args).map(|()| ExitCode::SUCCESS),
        Command::Status(args) => wait_for(status::run(args)),
        Command::Retrain(args) => wait_for(retrain::run(args)),
        Command::Runs(args) => wait_for(runs::run(args)),
        Command::Labels(args) => wait_for(labels::run(args)),
        Command::Models(args) => wait_for(models::run(args)),
    }
}

fn wait_for(work: impl Future<Output = Result<()>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work).map(|()| ExitCode::SUCCESS)
}
