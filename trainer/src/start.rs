//! What training starts from: a base model in Hugging Face layout, a checkpoint, or a champion's bundle.

use std::fs;
use std::path::{Path, PathBuf};

use modloop_bundle::{Bundle, Manifest, files, restore_dithered, unpack};
use modloop_domain::{Label, ModelVersion};
use tempfile::TempDir;

use crate::TrainError;
use crate::checkpoint::{RECORD, labels_of};
use crate::config::BertConfig;
use crate::record::{BaseModel, DataSource, TrainingRecord};
use crate::weights::Head;

/// Files to start from, and what is known about them.
#[derive(Debug)]
pub struct Start {
    dir: PathBuf,
    weights: PathBuf,
    /// Of a bundle.
    manifest: Option<Manifest>,
    /// Labels of the head, none where there is no head.
    labels: Vec<Label>,
    lineage: Option<Lineage>,
    /// Holds what had to be unpacked or restored.
    _work: Option<TempDir>,
}

/// Where a model comes from that was fine-tuned before.
#[derive(Debug, Clone)]
pub struct Lineage {
    /// The model that was pre-trained.
    pub base_model: BaseModel,
    /// The last bundle on the way here.
    pub version: Option<ModelVersion>,
    /// What it learnt from so far.
    pub data_sources: Vec<DataSource>,
}

impl From<&Manifest> for Lineage {
    fn from(manifest: &Manifest) -> Self {
        let base = &manifest.base_model;
        let sources = manifest.data_sources.iter().map(|source| DataSource {
            name: source.name.clone(),
            licence: source.licence.clone(),
            lines: source.lines as usize,
        });
        Self {
            base_model: BaseModel {
                name: base.name.clone(),
                licence: base.licence.clone(),
                sha256: base.sha256.clone(),
            },
            version: Some(manifest.version.clone()),
            data_sources: sources.collect(),
        }
    }
}

impl From<TrainingRecord> for Lineage {
    fn from(record: TrainingRecord) -> Self {
        Self { base_model: record.base_model, version: record.parent, data_sources: record.data_sources }
    }
}

impl Start {
    /// Opens a folder with config.json, tokenizer.json and model.safetensors; or a bundle, as a folder or `.tar.gz`; or
    /// a folder with such an archive. A bundle without weights has them restored from the graph it serves.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        match archive_in(path)? {
            Some(archive) => {
                let work = work()?;
                let bundle = unpack(&archive, &work.path().join("bundle"))?;
                Self::of_bundle(&bundle, work)
            }
            None if path.join(files::MANIFEST).exists() => Self::of_bundle(&Bundle::open(path)?, work()?),
            None => Self::of_folder(path),
        }
    }

    fn of_bundle(bundle: &Bundle, work: TempDir) -> Result<Self, TrainError> {
        let manifest = bundle.manifest().clone();
        let weights = match manifest.files.contains_key(files::WEIGHTS) {
            true => bundle.path(files::WEIGHTS),
            false => {
                let restored = work.path().join(files::WEIGHTS);
                restore_dithered(bundle, &restored)?;
                restored
            }
        };
        let labels = manifest.labels.clone();
        let lineage = Some(Lineage::from(&manifest));
        Ok(Self {
            dir: bundle.dir().to_owned(),
            weights,
            manifest: Some(manifest),
            labels,
            lineage,
            _work: Some(work),
        })
    }

    fn of_folder(dir: &Path) -> Result<Self, TrainError> {
        let (_, config) = BertConfig::read(&dir.join(files::CONFIG))?;
        // A checkpoint of ours names its labels; what other programs call theirs is not known to mean the same.
        let ours = config.get("classifier_pooling").is_some_and(|pooling| pooling == "mean");
        let labels = if ours { labels_of(&config).unwrap_or_default() } else { Vec::new() };
        let record = dir.join(RECORD);
        let lineage =
            if ours && record.exists() { Some(TrainingRecord::read(&record)?.into()) } else { None };
        let weights = dir.join(files::WEIGHTS);
        Ok(Self { dir: dir.to_owned(), weights, manifest: None, labels, lineage, _work: None })
    }

    /// The path of config.json.
    pub fn config(&self) -> PathBuf {
        self.dir.join(files::CONFIG)
    }

    /// The path of tokenizer.json.
    pub fn tokenizer(&self) -> PathBuf {
        self.dir.join(files::TOKENIZER)
    }

    /// The path of the weights.
    pub fn weights(&self) -> &Path {
        &self.weights
    }

    /// What the bundle says of itself, when it is one.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Where it comes from; nothing is known of a base model.
    pub fn lineage(&self) -> Option<&Lineage> {
        self.lineage.as_ref()
    }

    /// The head for `wanted` labels: what is known about them already, the rest fresh.
    pub fn head(&self, wanted: &[Label]) -> Head {
        if self.labels.is_empty() { Head::Fresh } else { Head::for_labels(wanted, &self.labels) }
    }
}

/// The archive that `path` is, or that is alone in it.
fn archive_in(path: &Path) -> Result<Option<PathBuf>, TrainError> {
    let is_archive = |path: &Path| path.to_str().is_some_and(|name| name.ends_with(".tar.gz"));
    if path.is_file() {
        let problem = "is neither a folder nor a .tar.gz".to_owned();
        return if is_archive(path) {
            Ok(Some(path.to_owned()))
        } else {
            Err(TrainError::base(path)(problem))
        };
    }
    let mut archives = Vec::new();
    for entry in fs::read_dir(path).map_err(TrainError::io("list", path))? {
        let found = entry.map_err(TrainError::io("list", path))?.path();
        if is_archive(&found) {
            archives.push(found);
        }
    }
    match archives.len() {
        0 => Ok(None),
        1 => Ok(archives.pop()),
        _ => Err(TrainError::base(path)("holds several .tar.gz; which one is the model?")),
    }
}

fn work() -> Result<TempDir, TrainError> {
    tempfile::tempdir().map_err(TrainError::io("create a folder in", &std::env::temp_dir()))
}
