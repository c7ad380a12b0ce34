//! One run at a time may use a folder.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The right to use a folder. It ends when this is dropped, and with this process in any case.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "held for its lock")] File);

impl Claim {
    /// Claims `folder`, which is created where it is missing.
    pub fn take(folder: &Path) -> Result<Self> {
        let file = lock_file(folder)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
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
        locked.map(Self).with_context(|| format!("lock {}", folder.display()))
    }
}

fn lock_file(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let path = folder.join("lock");
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
