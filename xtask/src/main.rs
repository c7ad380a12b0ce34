//! `cargo xtask`: everything a person types in this repository.

mod bench;
mod database;
mod documents;
mod faults;
mod layout;
mod once;
mod package;
mod parameters;
mod progress;
mod registry;
mod report;
mod retrain;
mod retraining;
mod runs;
mod settings;
mod setup;
mod stack;
mod test;
mod train;
mod up;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::bench::Bench;
use crate::layout::Layout;
use crate::once::{Kind, Once};
use crate::retrain::Scenario;
use crate::setup::Tools;

/// Runs and tests Modloop on this machine, without Docker and without an AWS account.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything and show a live status until Ctrl-C.
    ///
    /// Reads Reddit when REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET are set, in the environment or in .env;
    /// otherwise a stand-in with a synthetic feed. Data stays between runs.
    Up {
        /// Rebuild and redeploy when the source of a function changes.
        #[arg(long, conflicts_with = "once")]
        watch: bool,
        /// Delete what earlier starts stored and begin with an empty database.
        #[arg(long, conflicts_with = "once")]
        fresh: bool,
        /// One pass over the stand-in's feed in a fresh database, until its language has shifted and a better
        /// model has taken over; then exit: 0 only if nothing was lost.
        #[arg(long)]
        once: bool,
        /// Break things instead: Reddit fails, inference is killed, Postgres restarts, messages come twice.
        #[arg(long, requires = "once")]
        faults: bool,
        /// Write what happened to this file, as JSON.
        #[arg(long, value_name = "FILE", requires = "once")]
        report: Option<PathBuf>,
    },
    /// Run all tests, or only the parts named.
    Test {
        /// Parts to run; all when none is named.
        parts: Vec<test::Part>,
    },
    /// Train the champion again, from a folder of labeled data.
    Train(train::Training),
    /// Measure speed, start and memory of scoring beside Python services with the same weights.
    ///
    /// Alternates in short rounds and counts processor time, so that other work on the machine disturbs
    /// little. Where the processor has AVX-512, everything is measured a second time with AVX2 alone.
    Bench {
        /// Fewer rounds.
        #[arg(long)]
        quick: bool,
        /// Write the figures to this file, as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// The bundle to measure; the shipped one when none is named.
        #[arg(long, value_name = "DIR")]
        bundle: Option<PathBuf>,
        #[command(subcommand)]
        of: Option<bench::scale::Of>,
    },
    /// A process that `bench` starts.
    #[command(hide = true)]
    BenchWorker(bench::Worker),
    /// Compile the functions for AWS and lay out what `sam deploy` uploads.
    Package,
    /// Download and prepare all that `up` and `test` use, and do nothing else.
    Setup,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(command: Command) -> Result<()> {
    let layout = Layout::find()?;
    match command {
        Command::Up { once: true, faults, report, .. } => {
            let kind = if faults { Kind::Faults } else { Kind::Loop(Scenario::Mended) };
            once::run(&layout, Once { kind, report }).await
        }
        Command::Up { watch, fresh, .. } => up::run(&layout, up::Up { watch, fresh }).await,
        Command::Test { parts } => test::run(&layout, &parts).await,
        Command::Train(training) => train::run(&layout, training).await,
        Command::Bench { of: Some(bench::scale::Of::Scale(options)), .. } => {
            bench::scale::run(&layout, &options).await
        }
        Command::Bench { quick, json, bundle, of: None } => {
            bench::run(&layout, Bench { quick, json, bundle }).await
        }
        Command::BenchWorker(worker) => bench::run_worker(&worker),
        Command::Package => package::run(&layout).await,
        Command::Setup => Tools::new(&layout)?.prepare_for_up_and_test().await,
    }
}
