use std::fs::{self, File};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use modloop_domain::{Label, ModelVersion};
use sha2::{Digest, Sha256};

use crate::checkpoint::BertConfig;
use crate::onnx::Signature;
use crate::{BundleError, FileEntry, Manifest, files};

/// A bundle on disk whose every file was checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    dir: PathBuf,
    manifest: Manifest,
}

impl Bundle {
    /// Reads `bundle.json` and checks it, then the size, hash and shape of every file it names.
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        let manifest = read_manifest(&dir.join(files::MANIFEST))?;
        for (name, entry) in &manifest.files {
            check_file(&dir.join(name), entry)?;
        }
        check_shapes(dir, &manifest)?;
        Ok(Self { dir: dir.to_owned(), manifest })
    }

    /// What `bundle.json` says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Names the model for good.
    pub fn version(&self) -> &ModelVersion {
        &self.manifest.version
    }

    /// What the model's outputs mean, in their order.
    pub fn labels(&self) -> &[Label] {
        &self.manifest.labels
    }

    /// The folder it lies in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of one of its files (see [`files`]).
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn read_manifest(path: &Path) -> Result<Manifest, BundleError> {
    let json = fs::read(path).map_err(BundleError::io("read", path))?;
    let manifest: Manifest = serde_json::from_slice(&json)
        .map_err(|e| BundleError::invalid(path, format!("is no bundle manifest: {e}")))?;
    match manifest.problem() {
        Some(problem) => Err(BundleError::invalid(path, problem)),
        None => Ok(manifest),
    }
}

fn check_file(path: &Path, expected: &FileEntry) -> Result<(), BundleError> {
    let found = fs::metadata(path).map_err(BundleError::io("read", path))?.len();
    if found != expected.bytes {
        return Err(BundleError::WrongSize { path: path.to_owned(), expected: expected.bytes, found });
    }
    let map = map(path)?;
    let (name, expected, found) = match &expected.blake3 {
        Some(blake3) => ("blake3", blake3, blake3_of(&map)),
        None => ("sha256", &expected.sha256, sha256_of(&map)),
    };
    if found != *expected {
        let (path, expected) = (path.to_owned(), expected.clone());
        return Err(BundleError::WrongHash { path, name, expected, found });
    }
    Ok(())
}

/// Measures a file without holding it in memory.
pub(crate) fn describe(path: &Path) -> Result<FileEntry, BundleError> {
    let map = map(path)?;
    Ok(FileEntry { sha256: sha256_of(&map), blake3: Some(blake3_of(&map)), bytes: map.len() as u64 })
}

fn map(path: &Path) -> Result<Mmap, BundleError> {
    let file = File::open(path).map_err(BundleError::io("read", path))?;
    // SAFETY: a bundle's files are never written to once they have their name: a new bundle is a new file.
    unsafe { Mmap::map(&file) }.map_err(BundleError::io("map", path))
}

fn sha256_of(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn blake3_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn check_shapes(dir: &Path, manifest: &Manifest) -> Result<(), BundleError> {
    let path = dir.join(files::MODEL);
    let graph = map(&path)?;
    let outputs = Signature::read(&graph).and_then(|signature| signature.classes());
    let outputs = outputs.map_err(|problem| BundleError::invalid(&path, problem))?;
    if outputs != manifest.labels.len() {
        let labels = manifest.labels.len();
        let problem = format!("gives {outputs} logits where bundle.json has {labels} labels");
        return Err(BundleError::invalid(&path, format!("{problem}; assemble the bundle again")));
    }
    let config = BertConfig::read(&dir.join(files::CONFIG))?;
    if manifest.windowing.tokens() > config.max_position_embeddings {
        let (window, most) = (manifest.windowing.tokens(), config.max_position_embeddings);
        let problem = format!("windows of {window} tokens, but the model takes at most {most}");
        return Err(BundleError::invalid(&dir.join(files::MANIFEST), problem));
    }
    Ok(())
}
