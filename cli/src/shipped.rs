//! Finds what the repository holds for a program that was started without being told.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use modloop_classifier::{BackendChoice, Classifier, ClassifierOptions};
use modloop_environment::optional;

/// The shipped model, below the repository.
const BUNDLE: &str = "models/champion";
/// Where `cargo xtask` puts the library, below its folder.
const RUNTIME_LIBRARY: &str = "tools/onnxruntime/libonnxruntime.so";

/// The bundle that was named, or the shipped one.
pub(crate) fn bundle(named: Option<PathBuf>) -> Result<PathBuf> {
    match named.or_else(|| find(BUNDLE)) {
        Some(dir) => Ok(dir),
        None => {
            bail!("no model: call this from the repository, which holds {BUNDLE}, or name one with --bundle")
        }
    }
}

/// How a model computes here: on the backend of `MODLOOP_BACKEND`, with the library that was named or
/// prepared. Without a library the kernels still compute; ONNX Runtime says what is missing when it is needed.
pub(crate) fn runtime(named: Option<PathBuf>) -> Result<ClassifierOptions> {
    let library = library(named)?.unwrap_or_else(|| Path::new(".modloop").join(RUNTIME_LIBRARY));
    Ok(ClassifierOptions::on_all_cores(library).with_backend(BackendChoice::from_environment()?))
}

/// The library that was named, or the one that was prepared.
pub(crate) fn runtime_library(named: Option<PathBuf>) -> Result<PathBuf> {
    match library(named)? {
        Some(file) => Ok(file),
        None => bail!(
            "no ONNX Runtime library at .modloop/{RUNTIME_LIBRARY}: `cargo xtask setup` puts it there, \
             or name one with --runtime-library or ORT_DYLIB_PATH"
        ),
    }
}

fn library(named: Option<PathBuf>) -> Result<Option<PathBuf>> {
    match named {
        Some(file) => Ok(Some(file)),
        None => prepared(RUNTIME_LIBRARY),
    }
}

/// A file that `cargo xtask` prepared: in the folder of `MODLOOP_HOME`, else in `.modloop` of the repository.
pub(crate) fn prepared(relative: &str) -> Result<Option<PathBuf>> {
    Ok(match optional("MODLOOP_HOME")? {
        Some(home) => Some(Path::new(&home).join(relative)).filter(|path| path.exists()),
        None => find(&format!(".modloop/{relative}")),
    })
}

/// Looks in the current folder, in the program's own, and in every folder above them.
fn find(relative: &str) -> Option<PathBuf> {
    let starts = [std::env::current_dir(), std::env::current_exe()];
    let starts: Vec<PathBuf> = starts.into_iter().flatten().collect();
    let folders = starts.iter().flat_map(|start| start.ancestors());
    folders.map(|folder: &Path| folder.join(relative)).find(|path| path.exists())
}

/// The shipped model, loaded. For commands that only want to know whether it works here.
pub(crate) fn classifier() -> Result<Classifier> {
    Ok(Classifier::load(&bundle(None)?, &runtime(None)?)?)
}
