//! `modloop-train`: fine-tunes a BERT checkpoint on labelled text and makes a bundle of it.

mod bundle;
mod fine_tune;
mod options;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::options::{BundleOptions, TrainOptions};

#[derive(Parser)]
#[command(name = "modloop-train", version, about = "Fine-tunes a BERT checkpoint on labelled text")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fine-tune a base model and write a checkpoint in Hugging Face layout
    Train(Box<TrainOptions>),
    /// Turn a checkpoint into the bundle that is served: export, calibrate, measure
    Bundle(BundleOptions),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Train(options) => fine_tune::run(&options),
        Command::Bundle(options) => bundle::run(options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
