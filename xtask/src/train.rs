//! `train`: the champion's training again, from a folder of labelled data.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::layout::Layout;
use crate::setup::{self, Needs, Tools};

/// What to train on and where the model goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Training {
    /// Folder with train.jsonl and dev.jsonl, each plain or .gz; trainer/README.md says what is in them
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder of the bundle; one that is there is replaced [default: candidate in .modloop]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Options of `modloop-train train` [default: models/champion/recipe.toml]
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Names the model for good [default: today's date, .1]
    #[arg(long)]
    version: Option<String>,
    /// More options of `modloop-train train`, which win over the recipe's
    #[arg(last = true)]
    more: Vec<String>,
}

/// Prepares what training needs, trains, and makes the bundle. Repeated after it was cut off, it goes on.
pub(crate) async fn run(layout: &Layout, training: Training) -> Result<()> {
    let train = data_file(&training.data, "train")?;
    let dev = data_file(&training.data, "dev")?;
    let needs = Needs { libtorch: true, base_model: true, ..Needs::default() };
    let tools = setup::ensure(layout, needs).await?;
    let checkpoint = layout.home.join("training/checkpoint");
    let out = training.out.unwrap_or_else(|| layout.home.join("candidate"));
    let version =
        training.version.unwrap_or_else(|| format!("{}.1", chrono::Local::now().format("%Y-%m-%d")));

    let mut command = trainer(layout, &tools, "train")?;
    command.arg("--recipe");
    command.arg(training.recipe.unwrap_or_else(|| layout.root.join("models/champion/recipe.toml")));
    command.arg("--base").arg(tools.base_model.as_ref().context("the base model was not prepared")?);
    command.arg("--data").arg(train).arg("--dev").arg(&dev).arg("--out").arg(&checkpoint);
    // Not everybody has all the sets that the champion learnt from.
    command.arg("--skip-absent-sources").args(training.more);
    check(command, "training")?;
    // What a run goes on from is there exactly as long as the run is not done.
    if checkpoint.with_extension("resume").exists() {
        bail!("training was stopped; the same command goes on from there");
    }

    let mut command = trainer(layout, &tools, "bundle")?;
    command.arg("--checkpoint").arg(&checkpoint).arg("--dev").arg(&dev).arg("--out").arg(&out);
    command.args(["--include-weights", "--version", &version]);
    check(command, "making the bundle")
}

/// `NAME.jsonl` or `NAME.jsonl.gz`, by its full path.
fn data_file(folder: &Path, name: &str) -> Result<PathBuf> {
    let candidates = [format!("{name}.jsonl"), format!("{name}.jsonl.gz")].map(|file| folder.join(file));
    let found = candidates.iter().find(|path| path.is_file());
    let found =
        found.with_context(|| format!("{} has no {name}.jsonl and no {name}.jsonl.gz", folder.display()))?;
    found.canonicalize().with_context(|| format!("find {}", found.display()))
}

fn trainer(layout: &Layout, tools: &Tools, subcommand: &str) -> Result<Command> {
    let mut command = modloop_local::package::cargo();
    command.current_dir(&layout.root);
    command.args(["run", "--quiet", "--locked", "--package", "modloop-trainer", "--", subcommand]);
    command.env("LIBTORCH", tools.libtorch.as_ref().context("libtorch was not prepared")?);
    // Threads that spin while they wait for each other take time from each other where cores are few.
    command.env("ORT_DYLIB_PATH", &tools.onnxruntime).env("OMP_WAIT_POLICY", "PASSIVE");
    Ok(command)
}

fn check(mut command: Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {what}"))?;
    if status.success() { Ok(()) } else { bail!("{what} failed ({status})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_may_be_packed_and_must_be_there() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let error = data_file(folder.path(), "dev").expect_err("nothing there").to_string();
        assert!(error.ends_with("has no dev.jsonl and no dev.jsonl.gz"), "{error}");
        std::fs::write(folder.path().join("dev.jsonl.gz"), "")?;
        assert!(data_file(folder.path(), "dev")?.ends_with("dev.jsonl.gz"));
        Ok(())
    }
}
