//! `modloop-train convert`: from a public data set to the form that training reads.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use modloop_domain::Label;
use modloop_trainer::data::{self, Example};
use modloop_trainer::measuring_hate_speech::{self, Comment};

/// Which data set, and where it goes.
#[derive(Debug, Args)]
pub(crate) struct ConvertOptions {
    /// The data set
    set: DataSet,
    /// Its file
    file: PathBuf,
    /// JSON lines to write; a name that ends in .gz is packed
    #[arg(long)]
    out: PathBuf,
    /// Put a tenth of the texts, chosen by their identifiers, into this file instead: for measuring
    #[arg(long)]
    dev: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DataSet {
    /// ucberkeley-dlab/measuring-hate-speech, the Parquet file
    MeasuringHateSpeech,
}

pub(crate) fn run(options: &ConvertOptions) -> Result<()> {
    let DataSet::MeasuringHateSpeech = options.set;
    let comments = measuring_hate_speech::read(&options.file)?;
    let total = comments.len();
    let (dev, train): (Vec<Comment>, Vec<Comment>) =
        comments.into_iter().partition(|comment| options.dev.is_some() && comment.is_dev());
    let mut kept = write(&options.out, train)?;
    if let Some(path) = &options.dev {
        kept += write(path, dev)?;
    }
    println!("{total} comments, {} of them neither hate nor clearly harmless and left out", total - kept);
    Ok(())
}

fn write(path: &Path, comments: Vec<Comment>) -> Result<usize> {
    let hate: Label = "hate".parse().context("the set's only label")?;
    let examples: Vec<Example> = comments.into_iter().filter_map(Comment::example).collect();
    data::write(path, &examples, &[hate])?;
    println!("{}: {} lines", path.display(), examples.len());
    Ok(examples.len())
}
