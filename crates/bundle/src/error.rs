use std::io;
use std::path::{Path, PathBuf};

/// Why a bundle or a checkpoint cannot be used or made. Each names the file and the way out.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried: `read`, `write`, …
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file the manifest (or the format) asks for is not there.
    #[error("{path} is missing; unpack or download the bundle again")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file is shorter or longer than the manifest says.
    #[error("{path} has {found} bytes where bundle.json says {expected}; download the bundle again")]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Bytes according to the manifest.
        expected: u64,
        /// Bytes on disk.
        found: u64,
    },
    /// A file is not the one the manifest was written for.
    #[error("{path} has {name} {found} where bundle.json says {expected}; download the bundle again")]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// Which hash: `sha256` or `blake3`.
        name: &'static str,
        /// Hash according to the manifest, lower-case hex.
        expected: String,
        /// Hash on disk.
        found: String,
    },
    /// A file is there but what it says does not fit.
    #[error("{path}: {problem}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
}

impl BundleError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::NotFound if action == "read" => Self::Missing { path },
            _ => Self::Io { action, path, source },
        }
    }

    pub(crate) fn invalid(path: &Path, problem: impl Into<String>) -> Self {
        Self::Invalid { path: path.to_owned(), problem: problem.into() }
    }

    /// Whether the same call may succeed later without anybody changing the bundle.
    pub fn is_retryable(&self) -> bool {
        use io::ErrorKind::{AlreadyExists, NotFound, PermissionDenied};
        let Self::Io { source, .. } = self else { return false };
        !matches!(source.kind(), AlreadyExists | NotFound | PermissionDenied)
    }
}
