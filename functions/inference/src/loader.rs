use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use modloop_bundle::{BundleError, unpack};
use modloop_classifier::{Classifier, ClassifierOptions, LoadError, ScoreError, TextScores};
use modloop_cloud::{BundleStorage, CloudError};
use modloop_domain::{Label, ModelVersion};
use tempfile::TempDir;
use tokio::task::{JoinError, spawn_blocking};

use crate::Scorer;

/// Where a bundle lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    /// In the function's own package.
    Shipped,
    /// In S3: `s3://bucket/key.tar.gz`.
    Stored(&'a str),
}

/// Brings a model into memory, checked.
pub trait LoadModel {
    /// Takes the bundle from `source`.
    fn load(&self, source: Source<'_>) -> impl Future<Output = Result<Arc<dyn Scorer>, ModelError>>;
}

/// Why a model cannot be put in service.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The download failed.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The archive or what is in it does not hold together.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The bundle is whole but cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The row in `models` has no address, and the version is not the shipped one.
    #[error(
        "model {0} has no bundle_uri and is not the one that ships with this release; set models.bundle_uri"
    )]
    NoAddress(ModelVersion),
    /// The bundle is another model's.
    #[error(
        "the bundle of model {wanted} says it is {found}; correct models.bundle_uri or upload the right bundle"
    )]
    OtherModel {
        /// What the alias names.
        wanted: ModelVersion,
        /// What the bundle's manifest says.
        found: ModelVersion,
    },
    /// No place to unpack to.
    #[error("no temporary folder for the bundle: {0}")]
    Scratch(std::io::Error),
    /// The loading thread ended early.
    #[error("loading was broken off: {0}")]
    BrokenOff(#[from] JoinError),
}

/// Loads bundles from the function's package and from S3.
pub struct BundleLoader {
    storage: BundleStorage,
    shipped: PathBuf,
    options: ClassifierOptions,
}

impl BundleLoader {
    /// `shipped` is the folder of the bundle in the function's package.
    pub fn new(storage: BundleStorage, shipped: PathBuf, options: ClassifierOptions) -> Self {
        Self { storage, shipped, options }
    }

    /// The shipped bundle, as a classifier.
    pub async fn shipped(&self) -> Result<Classifier, ModelError> {
        let (dir, options) = (self.shipped.clone(), self.options.clone());
        Ok(spawn_blocking(move || Classifier::load(&dir, &options)).await??)
    }

    async fn stored(&self, uri: &str) -> Result<Downloaded, ModelError> {
        let scratch = tempfile::tempdir().map_err(ModelError::Scratch)?;
        self.storage.download(uri, &scratch.path().join(ARCHIVE)).await?;
        let options = self.options.clone();
        spawn_blocking(move || Downloaded::open(scratch, &options)).await?
    }
}

impl LoadModel for BundleLoader {
    async fn load(&self, source: Source<'_>) -> Result<Arc<dyn Scorer>, ModelError> {
        Ok(match source {
            Source::Shipped => Arc::new(self.shipped().await?),
            Source::Stored(uri) => Arc::new(self.stored(uri).await?),
        })
    }
}

const ARCHIVE: &str = "bundle.tar.gz";

/// A classifier with the folder its bundle was unpacked to, which goes when it does.
struct Downloaded {
    classifier: Classifier,
    _folder: TempDir,
}

impl Downloaded {
    fn open(folder: TempDir, options: &ClassifierOptions) -> Result<Self, ModelError> {
        let archive = folder.path().join(ARCHIVE);
        let bundle = unpack(&archive, &folder.path().join("bundle"))?;
        remove(&archive)?;
        Ok(Self { classifier: Classifier::from_bundle(bundle, options)?, _folder: folder })
    }
}

/// Half a gigabyte is all that a function has to unpack to.
fn remove(archive: &Path) -> Result<(), ModelError> {
    std::fs::remove_file(archive).map_err(ModelError::Scratch)
}

impl Scorer for Downloaded {
    fn version(&self) -> &ModelVersion {
        self.classifier.version()
    }

    fn labels(&self) -> &[Label] {
        &self.classifier.bundle().manifest().labels
    }

    fn score(&self, texts: &[&str]) -> Vec<Result<TextScores, ScoreError>> {
        self.classifier.score(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> ClassifierOptions {
        let library = std::env::var_os("ORT_DYLIB_PATH")
            .expect("ORT_DYLIB_PATH names no ONNX Runtime library: run `cargo xtask test`, which sets it");
        ClassifierOptions::on_all_cores(library.into())
    }

    fn downloaded() -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let bundle = modloop_bundle::testing::bundle(&folder.path().join("source"), "v2", 1);
        modloop_bundle::pack(&bundle, &folder.path().join(ARCHIVE)).expect("packs");
        folder
    }

    #[test]
    fn a_downloaded_bundle_is_unpacked_checked_and_scores() {
        let model = Downloaded::open(downloaded(), &options()).expect("opens");
        assert_eq!(Scorer::version(&model).as_str(), "v2");
        assert!(model.score(&["hello world"])[0].is_ok());
    }

    #[test]
    fn a_download_that_broke_off_is_refused() {
        let folder = downloaded();
        let archive = folder.path().join(ARCHIVE);
        let bytes = std::fs::read(&archive).expect("reads");
        std::fs::write(&archive, &bytes[..bytes.len() / 2]).expect("writes");
        let error = Downloaded::open(folder, &options()).err().expect("half an archive");
        assert!(matches!(error, ModelError::Bundle(_)), "{error}");
    }
}
