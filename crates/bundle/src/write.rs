use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use modloop_domain::{Label, ModelVersion, Thresholds};

use crate::bundle::describe;
use crate::manifest::FORMAT;
use crate::{BaseModel, Baseline, Bundle, BundleError, Calibration, DataSource, Manifest, Windowing, files};

/// Everything in `bundle.json` but what is measured while the bundle is written.
#[derive(Debug, Clone)]
pub struct ManifestParts {
    /// See [`Manifest::version`].
    pub version: ModelVersion,
    /// See [`Manifest::labels`].
    pub labels: Vec<Label>,
    /// See [`Manifest::windowing`].
    pub windowing: Windowing,
    /// See [`Manifest::calibration`].
    pub calibration: BTreeMap<Label, Calibration>,
    /// See [`Manifest::thresholds`].
    pub thresholds: Thresholds,
    /// See [`Manifest::metrics`].
    pub metrics: serde_json::Value,
    /// See [`Manifest::baseline`].
    pub baseline: Baseline,
    /// See [`Manifest::base_model`].
    pub base_model: BaseModel,
    /// See [`Manifest::data_sources`].
    pub data_sources: Vec<DataSource>,
}

/// Writes a bundle to `out` and opens it. `sources` are the files to copy, each under its own name in
/// the bundle.
///
/// The bundle is made beside `out` and renamed when it is whole and checked, so `out` never holds half
/// of one; a bundle that was there before is replaced.
pub fn write(out: &Path, parts: ManifestParts, sources: &[(&str, PathBuf)]) -> Result<Bundle, BundleError> {
    let parent = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(BundleError::io("create", parent))?;
    let staging = tempfile::Builder::new().prefix(".bundle-").tempdir_in(parent);
    let staging = staging.map_err(BundleError::io("create a folder in", parent))?;
    // A temporary folder is closed to others; a bundle is not.
    let dir = staging.path().join("bundle");
    fs::create_dir(&dir).map_err(BundleError::io("create", &dir))?;
    for (name, source) in sources {
        fs::copy(source, dir.join(name)).map_err(BundleError::io("read", source))?;
    }
    write_manifest(&dir, parts, sources)?;
    Bundle::open(&dir)?;
    replace(&dir, out, staging.path())?;
    Bundle::open(out)
}

fn write_manifest(dir: &Path, parts: ManifestParts, sources: &[(&str, PathBuf)]) -> Result<(), BundleError> {
    let mut entries = BTreeMap::new();
    for (name, _) in sources {
        entries.insert((*name).to_owned(), describe(&dir.join(name))?);
    }
    let manifest = Manifest {
        format: FORMAT,
        version: parts.version,
        labels: parts.labels,
        windowing: parts.windowing,
        calibration: parts.calibration,
        thresholds: parts.thresholds,
        metrics: parts.metrics,
        baseline: parts.baseline,
        base_model: parts.base_model,
        data_sources: parts.data_sources,
        files: entries,
    };
    let path = dir.join(files::MANIFEST);
    let json = serde_json::to_vec(&manifest).map_err(|e| BundleError::invalid(&path, e.to_string()))?;
    fs::write(&path, json).map_err(BundleError::io("write", &path))
}

fn replace(made: &Path, out: &Path, aside: &Path) -> Result<(), BundleError> {
    let old = aside.join("old");
    let replaces = out.exists();
    if replaces {
        fs::rename(out, &old).map_err(BundleError::io("move away", out))?;
    }
    let moved = fs::rename(made, out).map_err(BundleError::io("write", out));
    if moved.is_err() && replaces {
        // The old bundle goes back to its place, or it would be deleted with the temporary folder.
        fs::rename(&old, out).map_err(BundleError::io("put back", out))?;
    }
    moved
}
