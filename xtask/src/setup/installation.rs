//! One prepared folder: made beside its place, stamped, and renamed into it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use modloop_local::processes::Launch;
use nix::sys::signal::Signal;
use sha2::{Digest, Sha256};

use crate::layout::Layout;
use crate::progress::spinner;

const STAMP: &str = ".made-from";

/// A folder to be prepared, and what it is made from.
pub(crate) struct Installation<'a> {
    layout: &'a Layout,
    name: &'a str,
    /// What people call it.
    title: &'a str,
    stamp: String,
}

impl<'a> Installation<'a> {
    /// A folder called `name`. It is made anew when any of `inputs` changes.
    pub(crate) fn new(layout: &'a Layout, name: &'a str, title: &'a str, inputs: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for input in inputs {
            hash.update(input.len().to_le_bytes());
            hash.update(input.as_bytes());
        }
        Self { layout, name, title, stamp: hex::encode(hash.finalize()) }
    }

    /// Its place.
    pub(crate) fn folder(&self) -> PathBuf {
        self.layout.home.join("tools").join(self.name)
    }

    /// Where the output of the programs that make it goes.
    pub(crate) fn log(&self) -> PathBuf {
        self.layout.home.join("logs").join(format!("setup-{}.log", self.name))
    }

    /// Makes it with `fill`, which fills the given empty folder, unless it is there already.
    pub(crate) async fn ensure(&self, fill: impl AsyncFnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let folder = self.folder();
        if self.is_made() {
            return Ok(folder);
        }
        let _lock = self.lock()?;
        if self.is_made() {
            return Ok(folder);
        }
        let shown = spinner(&format!("prepare {}", self.title));
        let begun = Instant::now();
        let made = self.make(&folder, fill).await;
        shown.finish(made.is_ok(), begun.elapsed().as_secs_f64());
        made.with_context(|| format!("cannot prepare {}", self.title))?;
        Ok(folder)
    }

    fn is_made(&self) -> bool {
        fs::read_to_string(self.folder().join(STAMP)).is_ok_and(|stamp| stamp == self.stamp)
    }

    /// Waits until no other run prepares something. The lock ends with the file, or with this process.
    fn lock(&self) -> Result<fs::File> {
        let tools = self.layout.home.join("tools");
        fs::create_dir_all(&tools).with_context(|| format!("create {}", tools.display()))?;
        let path = tools.join(".lock");
        let file = fs::File::create(&path).with_context(|| format!("create {}", path.display()))?;
        file.lock().with_context(|| format!("lock {}", path.display()))?;
        Ok(file)
    }

    async fn make(&self, folder: &Path, fill: impl AsyncFnOnce(&Path) -> Result<()>) -> Result<()> {
        let part = folder.with_extension("part");
        clear(&part)?;
        fs::create_dir_all(&part).with_context(|| format!("create {}", part.display()))?;
        fill(&part).await?;
        fs::write(part.join(STAMP), &self.stamp).with_context(|| format!("write into {}", part.display()))?;
        clear(folder)?;
        fs::rename(&part, folder).with_context(|| format!("create {}", folder.display()))
    }

    /// Runs a program of the setup, its output kept for the error message.
    pub(crate) async fn run(&self, command: Command, what: &str) -> Result<()> {
        let launch = Launch {
            name: what.to_owned(),
            command,
            log: self.log(),
            stop_signal: Signal::SIGTERM,
            grace: Duration::from_secs(2),
        };
        launch.succeed(15).await
    }
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("delete {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    fn layout(home: &Path) -> Layout {
        Layout { root: home.to_owned(), home: home.to_owned() }
    }

    #[tokio::test]
    async fn it_is_made_once_and_again_when_its_inputs_change() -> Result<()> {
        let home = tempfile::tempdir()?;
        let layout = layout(home.path());
        let mut times_made = 0;
        for inputs in [["1"], ["1"], ["2"]] {
            let installation = Installation::new(&layout, "tool", "a tool", &inputs);
            let folder = installation.ensure(async |place: &Path| {
                times_made += 1;
                Ok(fs::write(place.join("made"), inputs[0])?)
            });
            assert_eq!(fs::read_to_string(folder.await?.join("made"))?, inputs[0]);
        }
        assert_eq!(times_made, 2);
        Ok(())
    }

    #[tokio::test]
    async fn a_failure_leaves_the_old_one_in_place() -> Result<()> {
        let home = tempfile::tempdir()?;
        let layout = layout(home.path());
        let first = Installation::new(&layout, "tool", "a tool", &["1"]);
        first.ensure(async |place: &Path| Ok(fs::write(place.join("made"), "1")?)).await?;
        let second = Installation::new(&layout, "tool", "a tool", &["2"]);
        let error = second.ensure(async |_: &Path| bail!("no network")).await.expect_err("fails");
        assert_eq!(format!("{error:#}"), "cannot prepare a tool: no network");
        assert_eq!(fs::read_to_string(first.folder().join("made"))?, "1");
        Ok(())
    }
}
