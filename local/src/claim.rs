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
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let path = folder.join("lock");
        let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                bail!("another run uses {}: stop that one first", folder.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
        }
    }
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
}
