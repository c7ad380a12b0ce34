use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where things are: the repository, and the one ignored folder that everything prepared or run goes to.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The repository.
    pub root: PathBuf,
    /// `.modloop/` in the repository, or what `MODLOOP_HOME` names.
    pub home: PathBuf,
}

impl Layout {
    /// Finds both; makes the folder.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask lies in the repository")?
            .to_owned();
        let home = modloop_environment::optional("MODLOOP_HOME")?
            .map_or_else(|| root.join(".modloop"), PathBuf::from);
        std::fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
        Ok(Self { home: home.canonicalize()?, root })
    }

    /// A folder for one way of running: its database, queues and logs.
    pub(crate) fn run(&self, name: &str) -> PathBuf {
        self.home.join("runs").join(name)
    }
}
