//! Finds what the repository holds for a program that was started without being told.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The shipped model, below the repository.
const BUNDLE: &str = "models/champion";
/// Where `cargo xtask` puts the library, below the repository.
const RUNTIME_LIBRARY: &str = ".modloop/tools/onnxruntime/libonnxruntime.so";

/// The bundle that was named, or the shipped one.
pub(crate) fn bundle(named: Option<PathBuf>) -> Result<PathBuf> {
    match named.or_else(|| find(BUNDLE)) {
        Some(dir) => Ok(dir),
        None => {
            bail!("no model: call this from the repository, which holds {BUNDLE}, or name one with --bundle")
        }
    }
}

/// The library that was named, or the one that was prepared.
pub(crate) fn runtime_library(named: Option<PathBuf>) -> Result<PathBuf> {
    match named.or_else(|| find(RUNTIME_LIBRARY)) {
        Some(file) => Ok(file),
        None => bail!(
            "no ONNX Runtime library at {RUNTIME_LIBRARY}: `cargo xtask setup` puts it there, \
             or name one with --runtime-library or ORT_DYLIB_PATH"
        ),
    }
}

/// Looks in the current folder, in the program's own, and in every folder above them.
fn find(relative: &str) -> Option<PathBuf> {
    let starts = [std::env::current_dir(), std::env::current_exe()];
    let starts: Vec<PathBuf> = starts.into_iter().flatten().collect();
    let folders = starts.iter().flat_map(|start| start.ancestors());
    folders.map(|folder: &Path| folder.join(relative)).find(|path| path.exists())
}
