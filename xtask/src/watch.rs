use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Editors save in several steps; a change is told once this long has passed without another.
const SETTLE: Duration = Duration::from_millis(400);

/// Changes of what functions are built from.
pub(crate) struct Changes {
    // Dropping it ends the watch.
    _watcher: RecommendedWatcher,
    events: UnboundedReceiver<PathBuf>,
    root: PathBuf,
}

impl Changes {
    /// Watches the sources of the functions, of the crates they share, the migrations and the template.
    pub(crate) fn watch(root: &Path) -> Result<Self> {
        let (sender, events) = unbounded_channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_)) {
                // The receiver is gone only when we are stopping.
                let _stopping = event.paths.into_iter().try_for_each(|path| sender.send(path));
            }
        })
        .context("cannot watch files")?;
        for folder in ["functions", "crates", "migrations", "infra"] {
            let folder = root.join(folder);
            watcher
                .watch(&folder, RecursiveMode::Recursive)
                .with_context(|| format!("cannot watch {}", folder.display()))?;
        }
        Ok(Self { _watcher: watcher, events, root: root.to_owned() })
    }

    /// Waits for the next change of a source file, and tells its path.
    pub(crate) async fn next(&mut self) -> Result<String> {
        loop {
            let mut path = self.events.recv().await.context("the watch of files ended")?;
            while let Ok(Some(later)) = tokio::time::timeout(SETTLE, self.events.recv()).await {
                if is_source(&later) {
                    path = later;
                }
            }
            if is_source(&path) {
                return Ok(path.strip_prefix(&self.root).unwrap_or(&path).display().to_string());
            }
        }
    }
}

fn is_source(path: &Path) -> bool {
    let kind = path.extension().and_then(|e| e.to_str());
    matches!(kind, Some("rs" | "toml" | "sql" | "yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_saved_source_file_is_told_once() -> Result<()> {
        let root = tempfile::tempdir()?;
        for folder in ["functions", "crates", "migrations", "infra"] {
            std::fs::create_dir(root.path().join(folder))?;
        }
        let mut changes = Changes::watch(root.path())?;
        std::fs::write(root.path().join("crates/notes.swp"), "editor")?;
        std::fs::write(root.path().join("crates/lib.rs"), "one")?;
        std::fs::write(root.path().join("crates/lib.rs"), "two")?;
        let changed = tokio::time::timeout(Duration::from_secs(20), changes.next()).await??;
        assert_eq!(changed, "crates/lib.rs");
        Ok(())
    }
}
