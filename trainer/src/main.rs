//! `modloop-train`: fine-tunes a BERT checkpoint on labeled text and makes a bundle of it.

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
#[command(name = "modloop-train", version, about = "Fine-tunes a BERT checkpoint on labeled text")]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_champions_recipe_is_understood() {
        let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/champion/recipe.toml");
        let arguments = ["modloop-train", "train", "--recipe", recipe];
        let paths = ["--base", "base", "--data", "train", "--dev", "dev", "--out", "out"];
        let arguments = [&arguments[..], &paths].concat().into_iter().map(Into::into).collect();
        let expanded = recipe::expand(arguments).expect("a recipe");
        let Command::Train(options) = Cli::try_parse_from(expanded).expect("options").command else {
            panic!("another command");
        };
        assert_eq!(options.labels.len(), 2);
        assert!(options.templates && options.symbols_as_words);
    }

    #[test]
    fn the_word_that_sagemaker_adds_is_taken_and_no_other() {
        let parse = |word: &str| Cli::try_parse_from(["modloop-train", "sagemaker", word]);
        assert!(parse("train").is_ok() && parse("serve").is_err());
    }
}
