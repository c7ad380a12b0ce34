//! Folders of runs that are thrown away at their end, and of those that were killed before it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use modloop_local::claim::Claim;
use modloop_local::postgres::Postgres;

use crate::layout::Layout;
use crate::stack::postgres_folder;

/// A folder for one run, which goes when this is dropped.
pub(crate) struct Scratch {
    folder: PathBuf,
    // Says to others that the run is alive.
    _claim: Claim,
}

impl Scratch {
    /// Makes `runs/PREFIX-NAME`, after throwing away what killed runs of the prefix left behind.
    pub(crate) fn create(layout: &Layout, prefix: &str, name: &str) -> Result<Self> {
        sweep(layout, prefix)?;
        let folder = layout.run(&format!("{prefix}-{name}"));
        let claim = Claim::take(&folder)?;
        Ok(Self { folder, _claim: claim })
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Moves the logs to where they outlive the folder.
    pub(crate) fn keep_logs(&self, layout: &Layout) -> Result<PathBuf> {
        let name = self.folder.file_name().context("a run has a name")?;
        let kept = layout.home.join("logs").join(name);
        fs::create_dir_all(layout.home.join("logs"))?;
        fs::rename(self.folder.join("logs"), &kept)
            .with_context(|| format!("cannot keep the logs of {}", self.folder.display()))?;
        Ok(kept)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("  {} was left behind: {error}", self.folder.display());
        }
    }
}

/// Deletes the folders of runs of `prefix` that nobody claims.
fn sweep(layout: &Layout, prefix: &str) -> Result<()> {
    let runs = layout.home.join("runs");
    let Ok(entries) = fs::read_dir(&runs) else { return Ok(()) };
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", runs.display()))?;
        let is_ours = entry.file_name().to_string_lossy().starts_with(&format!("{prefix}-"));
        if is_ours && let Ok(_claim) = Claim::take(&entry.path()) {
            Postgres::sweep(&postgres_folder(&entry.path()))?;
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("cannot delete {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_goes_and_a_live_one_stays() -> Result<()> {
        let home = tempfile::tempdir()?;
        let layout = Layout { root: home.path().to_owned(), home: home.path().to_owned() };
        let killed = layout.run("once-killed");
        fs::create_dir_all(killed.join("postgres"))?;
        fs::create_dir_all(layout.run("up"))?;
        let live = Scratch::create(&layout, "once", "live")?;
        assert!(!killed.exists());
        let second = Scratch::create(&layout, "once", "second")?;
        assert!(live.folder().exists() && layout.run("up").exists());

        fs::create_dir_all(second.folder().join("logs"))?;
        let kept = second.keep_logs(&layout)?;
        drop(second);
        assert!(kept.is_dir() && !layout.run("once-second").exists());
        Ok(())
    }
}
