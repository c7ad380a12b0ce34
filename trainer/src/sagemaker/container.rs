//! The folders of a training container.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Where SageMaker mounts everything, unless `MODLOOP_ML_ROOT` names another place.
const ROOT: &str = "/opt/ml";
/// SageMaker shows so many characters of a reason.
const MAX_REASON: usize = 1024;
/// Of a bundle: written last, for without it the rest is no bundle.
const MANIFEST: &str = modloop_bundle::files::MANIFEST;

/// A training container's folders.
#[derive(Debug)]
pub(super) struct Container {
    root: PathBuf,
}

/// The part of resourceconfig.json that matters.
#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    hosts: Vec<String>,
}

impl Container {
    pub(super) fn from_environment() -> Self {
        Self { root: std::env::var_os("MODLOOP_ML_ROOT").map_or_else(|| ROOT.into(), PathBuf::from) }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where checkpoints survive the instance.
    pub(super) fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// Name and text of every hyperparameter.
    pub(super) fn hyperparameters(&self) -> Result<Map<String, Value>> {
        let path = self.config("hyperparameters.json");
        read_json(&path)?.with_context(|| format!("{} is missing", path.display()))
    }

    /// Fails when the job has several machines: this program would train the same model on each.
    pub(super) fn check_resources(&self) -> Result<()> {
        let resources: Option<Resources> = read_json(&self.config("resourceconfig.json"))?;
        match resources.map_or(1, |resources| resources.hosts.len()) {
            0 | 1 => Ok(()),
            hosts => {
                bail!("the job has {hosts} instances; this program trains on one: set InstanceCount to 1")
            }
        }
    }

    /// Fails when a channel is streamed: files are read more than once.
    pub(super) fn check_channels(&self) -> Result<()> {
        let channels: Option<Map<String, Value>> = read_json(&self.config("inputdataconfig.json"))?;
        for (name, channel) in channels.iter().flatten() {
            if channel.get("TrainingInputMode").is_some_and(|mode| mode == "Pipe") {
                bail!("channel {name} is in Pipe mode; use File or FastFile");
            }
        }
        Ok(())
    }

    /// The folder of a channel, if the job has it.
    pub(super) fn channel(&self, name: &str) -> Option<PathBuf> {
        Some(self.root.join("input/data").join(name)).filter(|dir| dir.is_dir())
    }

    /// The folder of a channel that every job needs.
    pub(super) fn needed_channel(&self, name: &str) -> Result<PathBuf> {
        self.channel(name).with_context(|| format!("the job has no channel {name:?}"))
    }

    fn config(&self, name: &str) -> PathBuf {
        self.root.join("input/config").join(name)
    }

    /// Moves the files of a finished bundle into `model/`, its manifest last.
    pub(super) fn deliver(&self, bundle: &Path) -> Result<()> {
        let model = self.root.join("model");
        fs::create_dir_all(&model).with_context(|| format!("cannot create {}", model.display()))?;
        let mut names = Vec::new();
        for entry in fs::read_dir(bundle).with_context(|| format!("cannot list {}", bundle.display()))? {
            names.push(entry?.file_name());
        }
        names.sort_by_key(|name| name == MANIFEST);
        let moved = names.iter().try_for_each(|name| transfer(&bundle.join(name), &model.join(name)));
        if moved.is_err() {
            // SageMaker keeps whatever lies there, and half a bundle helps nobody.
            names.iter().for_each(|name| drop(fs::remove_file(model.join(name))));
        }
        moved
    }

    /// Leaves the reason of a failure where SageMaker looks for it.
    pub(super) fn fail(&self, reason: &str) {
        let path = self.root.join("output/failure");
        let reason: String = reason.chars().take(MAX_REASON).collect();
        let written = fs::create_dir_all(self.root.join("output")).and_then(|()| fs::write(&path, reason));
        if let Err(error) = written {
            eprintln!("cannot write {}: {error}", path.display());
        }
    }
}

/// Moves a file; `model/` may be a mount of its own, where renaming is not enough.
fn transfer(from: &Path, to: &Path) -> Result<()> {
    if fs::rename(from, to).is_ok() {
        return Ok(());
    }
    let partial = to.with_extension("partial");
    let copied = fs::copy(from, &partial).and_then(|_| fs::rename(&partial, to));
    if copied.is_err() {
        let _ = fs::remove_file(&partial);
    }
    copied.with_context(|| format!("cannot write {}", to.display()))
}

/// `None` when there is no such file.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .with_context(|| format!("{} is not of the expected form", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
