//! Lays out what goes into each function's zip: one folder for each below `target/functions/`, which
//! is where infra/template.yaml looks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::processes::Launch;

/// A function of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Reddit into Postgres and the queue.
    Fetch,
    /// Texts to scores.
    Inference,
    /// Drift.
    Monitor,
    /// Requests to new champions.
    Retrain,
    /// Schema.
    Migrate,
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Fetch, Self::Inference, Self::Monitor, Self::Retrain, Self::Migrate];

    /// Its package and binary, which is also what Lambda calls it in the local stack.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "modloop-fetch",
            Self::Inference => "modloop-inference",
            Self::Monitor => "modloop-monitor",
            Self::Retrain => "modloop-retrain",
            Self::Migrate => "modloop-migrate",
        }
    }

    /// Whether the shipped model and what runs it are in its zip.
    fn scores(self) -> bool {
        matches!(self, Self::Inference | Self::Retrain)
    }
}

/// How the functions are compiled.
#[derive(Debug, Clone)]
pub enum Profile {
    /// For this machine, sharing what other builds compiled.
    Dev,
    /// For AWS: optimised, and linked against the glibc of Amazon Linux 2023.
    Release {
        /// Folder with `cargo-lambda` and the Python whose `ziglang` it links with.
        tools: PathBuf,
    },
}

/// What to package, and from what.
#[derive(Debug, Clone)]
pub struct Packaging {
    /// The repository.
    pub repository: PathBuf,
    /// How to compile.
    pub profile: Profile,
    /// ONNX Runtime library that travels with inference and retrain.
    pub onnxruntime: PathBuf,
    /// Model bundle that travels with inference and retrain.
    pub bundle: PathBuf,
    /// File that the compiler's output is added to.
    pub log: PathBuf,
}

impl Packaging {
    /// Compiles the functions and lays out their folders.
    pub async fn run(&self) -> Result<()> {
        self.compile().await?;
        for function in Function::ALL {
            let folder = self.repository.join("target/functions").join(function.name());
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
            strip(&self.binary(function), &folder.join("bootstrap"))?;
            if function.scores() {
                self.add_model(&folder)?;
            }
        }
        Ok(())
    }

    async fn compile(&self) -> Result<()> {
        let mut command = match &self.profile {
            Profile::Dev => {
                let mut command = cargo();
                command.arg("build");
                command
            }
            Profile::Release { tools } => cargo_lambda(tools),
        };
        // One build for all functions: they share nearly everything.
        for function in Function::ALL {
            command.args(["--package", function.name()]);
        }
        command.args(["--color", "never"]).current_dir(&self.repository);
        command.env("CARGO_TARGET_DIR", target_folder(&self.repository));
        let launch = Launch {
            name: "compiling the functions".into(),
            command,
            log: self.log.clone(),
            stop_signal: Signal::SIGINT,
            grace: Duration::from_secs(5),
        };
        launch.succeed(40).await
    }

    fn binary(&self, function: Function) -> PathBuf {
        match self.profile {
            Profile::Dev => target_folder(&self.repository).join("debug").join(function.name()),
            Profile::Release { .. } => {
                target_folder(&self.repository).join("lambda").join(function.name()).join("bootstrap")
            }
        }
    }

    fn add_model(&self, folder: &Path) -> Result<()> {
        if !self.bundle.join("bundle.json").is_file() {
            bail!(
                "{} holds no model bundle (no bundle.json): train one, or name another",
                self.bundle.display()
            );
        }
        copy(&self.onnxruntime, &folder.join("libonnxruntime.so"))?;
        copy_folder(&self.bundle, &folder.join("bundle"))
    }
}

/// Where cargo puts what it compiles.
pub(crate) fn target_folder(repository: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from)
}

/// Cargo as a person would call it. `cargo run` tells us about our own package in variables that some build
/// scripts (ring's) watch: passed on, they would compile every library with TLS anew, back and forth.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

fn cargo_lambda(tools: &Path) -> Command {
    let mut command = Command::new(tools.join("cargo-lambda"));
    // cargo-lambda finds zig through the first python3 on the path.
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(tools.to_owned()).chain(std::env::split_paths(&paths));
    if let Ok(paths) = std::env::join_paths(paths) {
        command.env("PATH", paths);
    }
    command.args(["lambda", "build", "--release", "--target", "x86_64-unknown-linux-gnu.2.34"]);
    command
}

/// Writes `binary` without its debug information to `to`.
fn strip(binary: &Path, to: &Path) -> Result<()> {
    let part = to.with_extension("part");
    let stripped = Command::new("strip").arg("-o").arg(&part).arg(binary).status();
    let stripped = stripped.context("run strip: it comes with a C compiler (Debian: binutils)")?;
    if !stripped.success() {
        bail!("strip {} failed", binary.display());
    }
    fs::rename(&part, to).with_context(|| format!("create {}", to.display()))
}

/// Makes `to` hold what `from` holds, and nothing else.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    for old in fs::read_dir(to).with_context(|| format!("list {}", to.display()))? {
        let old = old?;
        if !from.join(old.file_name()).exists() {
            fs::remove_file(old.path()).with_context(|| format!("delete {}", old.path().display()))?;
        }
    }
    for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let part = to.with_extension("part");
    fs::copy(from, &part).with_context(|| format!("copy {}", from.display()))?;
    fs::rename(&part, to).with_context(|| format!("create {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_mirrored() {
        let place = tempfile::tempdir().expect("a folder");
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        fs::create_dir_all(&from).expect("create");
        fs::create_dir_all(&to).expect("create");
        fs::write(from.join("model.onnx"), "new").expect("write");
        fs::write(to.join("model.onnx"), "old").expect("write");
        fs::write(to.join("left over"), "").expect("write");

        copy_folder(&from, &to).expect("copies");
        assert_eq!(fs::read_to_string(to.join("model.onnx")).expect("read"), "new");
        assert_eq!(fs::read_dir(&to).expect("list").count(), 1);
    }

    fn packaging(place: &Path) -> Packaging {
        Packaging {
            repository: place.into(),
            profile: Profile::Dev,
            onnxruntime: place.join("libonnxruntime.so.1.24"),
            bundle: place.join("models/champion"),
            log: place.join("log"),
        }
    }

    #[test]
    fn a_missing_bundle_is_named() {
        let place = tempfile::tempdir().expect("a folder");
        let error = packaging(place.path()).add_model(place.path()).expect_err("no bundle").to_string();
        assert!(error.contains("models/champion holds no model bundle"), "{error}");
    }

    #[test]
    fn a_model_lies_where_functions_look_for_it() {
        let place = tempfile::tempdir().expect("a folder");
        let (packaging, folder) = (packaging(place.path()), place.path().join("zip"));
        for folder in [&folder, &packaging.bundle] {
            fs::create_dir_all(folder).expect("create");
        }
        fs::write(&packaging.onnxruntime, "a library").expect("write");
        fs::write(packaging.bundle.join("bundle.json"), "{}").expect("write");

        packaging.add_model(&folder).expect("copies");
        assert_eq!(fs::read_to_string(folder.join("libonnxruntime.so")).expect("read"), "a library");
        assert_eq!(fs::read_to_string(folder.join("bundle/bundle.json")).expect("read"), "{}");
    }

    /// What `sam deploy` finds no folder for, it refuses; a folder that the template does not name is never deployed.
    #[test]
    fn the_template_deploys_just_these_functions() {
        let template = include_str!("../../infra/template.yaml");
        let lines =
            template.lines().filter_map(|line| line.trim().strip_prefix("CodeUri: ../target/functions/"));
        let mut deployed: Vec<&str> = lines.collect();
        let mut packaged = Function::ALL.map(Function::name).to_vec();
        deployed.sort_unstable();
        packaged.sort_unstable();
        assert_eq!(deployed, packaged);
    }
}
