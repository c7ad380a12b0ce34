//! The account that Postgres runs under. It refuses root, so root lends it a lesser one.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::unistd::{Gid, Uid, User};

/// An account to run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// The one we run under.
    Own,
    /// A lesser one, because we are root.
    Lesser { user: Uid, group: Gid },
}

impl Account {
    /// An account that is not root.
    pub(crate) fn not_root() -> Result<Self> {
        if !Uid::effective().is_root() {
            return Ok(Self::Own);
        }
        match User::from_name("nobody").context("look up the account nobody")? {
            Some(nobody) => Ok(Self::Lesser { user: nobody.uid, group: nobody.gid }),
            None => bail!(
                "Postgres refuses to run as root, and there is no account \"nobody\": run as another user"
            ),
        }
    }

    /// Makes `command` run under this account.
    pub(crate) fn take_on(self, command: &mut Command) {
        if let Self::Lesser { user, group } = self {
            command.uid(user.as_raw()).gid(group.as_raw());
        }
    }

    /// Creates a folder that this account alone can read.
    pub(crate) fn create_private_folder(self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        self.give(folder)
    }

    /// Hands a file or folder over to this account.
    pub(crate) fn give(self, path: &Path) -> Result<()> {
        if let Self::Lesser { user, group } = self {
            chown(path, Some(user.as_raw()), Some(group.as_raw()))
                .with_context(|| format!("hand over {}", path.display()))?;
        }
        Ok(())
    }

    /// Whether this account may pass through every folder above `path`, behind links too.
    pub(crate) fn can_reach(self, path: &Path) -> bool {
        let Self::Lesser { user, group } = self else { return true };
        let nearest = path.ancestors().skip(1).find_map(|folder| folder.canonicalize().ok());
        let folders = nearest.iter().flat_map(|folder| folder.ancestors());
        folders.filter_map(|folder| fs::metadata(folder).ok()).all(|folder| {
            let may_pass = match (folder.uid() == user.as_raw(), folder.gid() == group.as_raw()) {
                (true, _) => 0o100,
                (_, true) => 0o010,
                _ => 0o001,
            };
            folder.mode() & may_pass != 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_folder_is_out_of_reach_for_others() {
        let home = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir();
        let home = home.expect("a folder");
        let data = home.path().join("project/data");
        fs::create_dir_all(&data).expect("create");
        let stranger = Account::Lesser { user: Uid::from_raw(65000), group: Gid::from_raw(65000) };
        assert!(!stranger.can_reach(&data));
        assert!(Account::Own.can_reach(&data));
        let open = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir();
        let open = open.expect("a folder");
        let link = open.path().join("link");
        std::os::unix::fs::symlink(home.path(), &link).expect("link");
        assert!(!stranger.can_reach(&link.join("project/data")));

        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711)).expect("open it");
        assert!(stranger.can_reach(&data));
    }
}
