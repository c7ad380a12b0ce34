//! `modloop`: what an operator types.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use modloop_cli::assemble::{self, AssembleArgs};
use modloop_cli::audit::{self, AuditArgs};
use modloop_cli::communities::{self, CommunitiesArgs};
use modloop_cli::doctor::{self, DoctorArgs};
use modloop_cli::drift::{self, DriftArgs};
use modloop_cli::evaluate::{self, EvaluateArgs};
use modloop_cli::flagged::{self, FlaggedArgs};
use modloop_cli::forget::{self, ForgetArgs};
use modloop_cli::labels::{self, LabelsArgs};
use modloop_cli::models::{self, ModelsArgs};
use modloop_cli::permission::{self, PermissionArgs};
use modloop_cli::retrain::{self, RetrainArgs};
use modloop_cli::runs::{self, RunsArgs};
use modloop_cli::score::{self, ScoreArgs};
use modloop_cli::settings::{self, SettingsArgs};
use modloop_cli::status::{self, StatusArgs};

/// Operates Modloop: communities, what is flagged, labels, settings, training runs, models.
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
    Communities(CommunitiesArgs),
    Flagged(FlaggedArgs),
    Settings(SettingsArgs),
    Permission(PermissionArgs),
    Forget(ForgetArgs),
    Audit(AuditArgs),
    Doctor(DoctorArgs),
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
        Command::Communities(args) => wait_for(communities::run(args)),
        Command::Flagged(args) => wait_for(flagged::run(args)),
        Command::Settings(args) => wait_for(settings::run(args)),
        Command::Permission(args) => wait_for(permission::run(args)),
        Command::Forget(args) => wait_for(forget::run(args)),
        Command::Audit(args) => wait_for(audit::run(args)),
        Command::Doctor(args) => wait(doctor::run(args)),
    }
}

fn wait_for(work: impl Future<Output = Result<()>>) -> Result<ExitCode> {
    wait(work).map(|()| ExitCode::SUCCESS)
}

fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work)
}
