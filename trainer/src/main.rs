//! `modloop-train`: fine-tunes a BERT checkpoint on labelled text and makes a bundle of it.

mod bundle;
mod convert;
mod fine_tune;
mod lines;
mod options;
mod recipe;
mod sagemaker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::bundle::BundleOptions;
use crate::convert::ConvertOptions;
use crate::options::TrainOptions;

#[derive(Parser)]
#[command(name = "modloop-train", version, about = "Fine-tunes a BERT checkpoint on labelled text")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fine-tune a base model or a bundle and write a checkpoint in Hugging Face layout
    Train(Box<TrainOptions>),
    /// Turn a checkpoint into the bundle that is served: export, calibrate, measure
    Bundle(BundleOptions),
    /// Bring a public data set into the form that training reads
    Convert(ConvertOptions),
    /// Run as a training container of Amazon SageMaker, under /opt/ml or MODLOOP_ML_ROOT
    Sagemaker {
        /// SageMaker starts a container with this word behind its entry point
        #[arg(value_parser = ["train"])]
        word: Option<String>,
    },
}

fn main() -> ExitCode {
    let done = recipe::expand(std::env::args_os().collect()).and_then(|arguments| {
        match Cli::parse_from(arguments).command {
            Command::Train(options) => fine_tune::run(&options),
            Command::Bundle(options) => bundle::run(options),
            Command::Convert(options) => convert::run(&options),
            Command::Sagemaker { .. } => sagemaker::run(),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
