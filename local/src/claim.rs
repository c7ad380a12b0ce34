//! One run at a time may use a folder.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The right to use a folder. It ends when this is dropped, and with this process in any case.
#[derive(Debug)]
pub struct Claim {
    /// Held for its lock.
    _lock: File,
    folder: PathBuf,
}

/// The locked file of a claimed folder.
const LOCK: &str = "lock";

impl Claim {
    /// Claims `folder`, which is created where it is missing.
    pub fn take(folder: &Path) -> Result<Self> {
        let file = lock_file(folder)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _lock: file, folder: folder.to_owned() }),
            Err(TryLockError::WouldBlock) => {
                bail!("another run uses {}: stop that one first", folder.display())
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("lock {}", folder.display()))
            }
        }
    }

    /// Claims `folder` once nobody else uses it.
    pub async fn wait(folder: &Path) -> Result<Self> {
        let file = lock_file(folder)?;
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await?;
        let file = locked.with_context(|| format!("lock {}", folder.display()))?;
        Ok(Self { _lock: file, folder: folder.to_owned() })
    }

    /// Deletes what the folder holds, except for its lock.
    pub fn empty(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            match entry.file_name() == LOCK {
                true => {}
                false if entry.file_type()?.is_dir() => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    }
}

fn lock_file(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let path = folder.join(LOCK);
    File::create(&path).with_context(|| format!("create {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_used_once_at_a_time() {
        let place = tempfile::tempdir().expect("a folder");
        let first = Claim::take(place.path()).expect("free");
        let error = Claim::take(place.path()).expect_err("taken").to_string();
        assert!(error.starts_with("another run uses "), "{error}");
        fs::create_dir(place.path().join("postgres")).expect("made");
        fs::write(place.path().join("reddit-port"), "1").expect("written");
        first.empty().expect("emptied");
        assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 1, "the lock stays");
        drop(first);
        Claim::take(place.path()).expect("free again");
    }

    #[tokio::test]
    async fn who_waits_gets_the_folder_after_the_one_before() {
        let place = tempfile::tempdir().expect("a folder");
        let first = Claim::take(place.path()).expect("free");
        let mut second = Box::pin(Claim::wait(place.path()));
        assert!(tokio::time::timeout(std::time::Duration::from_millis(50), &mut second).await.is_err());
        drop(first);
        second.await.expect("free again");
    }
}
