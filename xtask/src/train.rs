//! `train`: the champion's training again, from a folder of labeled data.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::layout::Layout;
use crate::setup::{Tools, TrainerTools};

/// What to train on and where the model goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Training {
    /// Folder with train.jsonl and dev.jsonl, each plain or .gz; trainer/README.md says what is in them
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder of the bundle; one that is there is replaced [default: candidate in .modloop]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Options of `modloop-train train`, for one pass [default: the two recipes in models/champion]
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
    let tools = Tools::new(layout)?;
    let (mut base, tools) = (tools.base_model().await?, tools.trainer().await?);
    let passes = passes(layout, training.recipe);
    for pass in &passes {
        if pass.is_done() {
            eprintln!("{} is there already; delete it to train it again", pass.out.display());
        } else {
            let mut command = trainer(layout, &tools, "train");
            command.args(pass.recipes.iter().flat_map(|recipe| [OsStr::new("--recipe"), recipe.as_os_str()]));
            command.arg("--base").arg(&base).arg("--data").arg(&train).arg("--dev").arg(&dev);
            // Not everybody has all the sets that the champion learnt from.
            command.arg("--out").arg(&pass.out).arg("--skip-absent-sources").args(&training.more);
            check(command, "training")?;
            if pass.is_cut_off() {
                bail!("training was stopped; the same command goes on from there");
            }
        }
        base.clone_from(&pass.out);
    }

    let out = training.out.unwrap_or_else(|| layout.home.join("candidate"));
    let version =
        training.version.unwrap_or_else(|| format!("{}.1", chrono::Local::now().format("%Y-%m-%d")));
    let mut command = trainer(layout, &tools, "bundle");
    command.arg("--checkpoint").arg(&base).arg("--dev").arg(&dev).arg("--out").arg(&out);
    command.args(["--include-weights", "--version", &version]);
    check(command, "making the bundle")?;
    passes.iter().try_for_each(Pass::forget)
}

/// One run of the trainer, from where the pass before it ended.
struct Pass {
    /// A later one wins over an earlier one.
    recipes: Vec<PathBuf>,
    /// Folder of the checkpoint.
    out: PathBuf,
}

/// The champion's two, or the one of a recipe that was named.
fn passes(layout: &Layout, named: Option<PathBuf>) -> Vec<Pass> {
    let champion = layout.root.join("models/champion");
    let recipe = champion.join("recipe.toml");
    let recipes = match named {
        Some(named) => vec![vec![named]],
        None => vec![vec![recipe.clone()], vec![recipe, champion.join("recipe-second-pass.toml")]],
    };
    let numbered = recipes.into_iter().enumerate();
    let pass = |(at, recipes)| Pass { recipes, out: layout.home.join(format!("training/pass-{}", at + 1)) };
    numbered.map(pass).collect()
}

impl Pass {
    /// What a run goes on from is there exactly as long as the run is not done.
    fn is_cut_off(&self) -> bool {
        self.out.with_extension("resume").exists()
    }

    fn is_done(&self) -> bool {
        self.out.exists() && !self.is_cut_off()
    }

    /// The next training starts over.
    fn forget(&self) -> Result<()> {
        fs::remove_dir_all(&self.out).with_context(|| format!("delete {}", self.out.display()))
    }
}

/// `NAME.jsonl` or `NAME.jsonl.gz`, by its full path.
fn data_file(folder: &Path, name: &str) -> Result<PathBuf> {
    let candidates = [format!("{name}.jsonl"), format!("{name}.jsonl.gz")].map(|file| folder.join(file));
    let found = candidates.iter().find(|path| path.is_file());
    let found =
        found.with_context(|| format!("{} has no {name}.jsonl and no {name}.jsonl.gz", folder.display()))?;
    found.canonicalize().with_context(|| format!("find {}", found.display()))
}

fn trainer(layout: &Layout, tools: &TrainerTools, subcommand: &str) -> Command {
    let mut command = modloop_local::package::cargo();
    command.current_dir(&layout.root);
    command.args(["run", "--quiet", "--locked", "--package", "modloop-trainer", "--", subcommand]);
    // Threads that spin while they wait for each other take time from each other where cores are few.
    command.envs(tools.environment()).env("OMP_WAIT_POLICY", "PASSIVE");
    command
}

fn check(mut command: Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {what}"))?;
    if status.success() { Ok(()) } else { bail!("{what} failed ({status})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_that_is_done_is_not_done_again() -> Result<()> {
        let home = tempfile::tempdir()?;
        let layout = Layout { root: home.path().to_owned(), home: home.path().to_owned() };
        let passes = passes(&layout, None);
        assert_eq!(passes.iter().map(|pass| pass.recipes.len()).collect::<Vec<_>>(), [1, 2]);
        let first = &passes[0];
        fs::create_dir_all(first.out.with_extension("resume"))?;
        fs::create_dir_all(&first.out)?;
        assert!(first.is_cut_off() && !first.is_done());
        fs::remove_dir(first.out.with_extension("resume"))?;
        assert!(first.is_done() && !passes[1].is_done());
        first.forget()?;
        assert!(!first.is_done());
        Ok(())
    }

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
