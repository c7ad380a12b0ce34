use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use modloop_bundle::{Bundle, Manifest, pack};
use modloop_domain::ModelVersion;

use crate::{Entries, Registry, RegistryError, Run, RunKey, RunStatus, VersionParts};

/// Where the packed bundle lies among a run's artifacts.
const BUNDLE: &str = "bundle/bundle.tar.gz";
/// Files of a bundle's folder that people look at, when they are there: the model card and the evaluation.
const FOR_PEOPLE: [&str; 4] = ["README.md", "evaluation.html", "evaluation.json", "bundle.json"];

/// What is known of a training beside what the bundle says itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunInfo {
    /// SHA-256 of the data set, in hex.
    pub data_set: Option<String>,
    /// More parameters, such as the trainer's.
    pub params: BTreeMap<String, String>,
    /// More metrics, such as the gate's.
    pub metrics: BTreeMap<String, f64>,
    /// More tags, of the run and of the version.
    pub tags: BTreeMap<String, String>,
    /// More files, stored under their own names.
    pub files: Vec<PathBuf>,
}

/// A bundle that MLflow knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredVersion {
    /// The bundle's version.
    pub version: ModelVersion,
    /// MLflow's number of it.
    pub registry_version: u32,
    /// The run that holds its parameters, metrics and files.
    pub run_id: String,
}

/// Records a bundle as one run and one version of the registered model.
///
/// The version is made last, so that its presence says that all the rest is there. Repeated after a failure or
/// beside another call, it ends in the same one run and one version.
///
/// # Errors
/// When MLflow cannot be reached or refuses, or a file of the bundle cannot be read.
pub async fn register_bundle(
    registry: &Registry,
    bundle: &Bundle,
    info: &RunInfo,
) -> Result<RegisteredVersion, RegistryError> {
    let version = bundle.version();
    if let Some((registry_version, run_id)) = registry.find_version(version).await? {
        return Ok(RegisteredVersion { version: version.clone(), registry_version, run_id });
    }
    let experiment = registry.experiment().await?;
    let run = registry.run(&experiment, &RunKey::from(version), version.as_str()).await?;
    registry.log(&run, &run_entries(bundle.manifest(), info)).await?;
    upload_files(registry, &run, bundle, info).await?;
    registry.end_run(&run, RunStatus::Finished).await?;
    let parts = VersionParts {
        version,
        run_id: &run.id,
        source: &format!("{}/bundle", run.artifact_uri.trim_end_matches('/')),
        description: &description(bundle.manifest()),
        tags: &tags(bundle.manifest(), info),
    };
    let registry_version = registry.register(&parts).await?;
    Ok(RegisteredVersion { version: version.clone(), registry_version, run_id: run.id })
}

fn run_entries(manifest: &Manifest, info: &RunInfo) -> Entries {
    let mut entries = tags(manifest, info);
    entries.param("base_model", &manifest.base_model.name);
    entries.param("base_model_licence", &manifest.base_model.licence);
    entries.param("base_model_sha256", &manifest.base_model.sha256);
    entries.param("labels", labels(manifest));
    entries.param("window_tokens", manifest.windowing.tokens());
    entries.param("window_overlap", manifest.windowing.overlap());
    entries.param("window_limit", manifest.windowing.limit());
    entries.param("threshold_review", manifest.thresholds.review());
    entries.param("threshold_remove", manifest.thresholds.remove());
    for source in &manifest.data_sources {
        let value = format!("{} lines, {}", source.lines, source.licence);
        entries.param(&format!("data_source.{}", source.name), value);
    }
    info.params.iter().for_each(|(key, value)| entries.param(key, value));
    entries.metrics_in("", &manifest.metrics);
    info.metrics.iter().for_each(|(key, value)| entries.metric(key, *value));
    entries
}

fn tags(manifest: &Manifest, info: &RunInfo) -> Entries {
    let mut entries = Entries::default();
    entries.tag("modloop.labels", labels(manifest));
    if let Some(model) = manifest.files.get(modloop_bundle::files::MODEL) {
        entries.tag("modloop.model_sha256", &model.sha256);
    }
    if let Some(data_set) = &info.data_set {
        entries.tag("modloop.data_set", data_set);
    }
    info.tags.iter().for_each(|(key, value)| entries.tag(key, value));
    entries
}

fn labels(manifest: &Manifest) -> String {
    manifest.labels.iter().map(|label| label.as_str()).collect::<Vec<_>>().join(", ")
}

fn description(manifest: &Manifest) -> String {
    format!("{}, fine-tuned for the labels {}", manifest.base_model.name, labels(manifest))
}

async fn upload_files(
    registry: &Registry,
    run: &Run,
    bundle: &Bundle,
    info: &RunInfo,
) -> Result<(), RegistryError> {
    let place = tempfile::tempdir().map_err(RegistryError::file("create", &std::env::temp_dir()))?;
    let archive = place.path().join("bundle.tar.gz");
    pack_aside(bundle, &archive).await?;
    registry.upload(run, &archive, BUNDLE).await?;
    for name in FOR_PEOPLE {
        let file = bundle.path(name);
        if file.is_file() {
            registry.upload(run, &file, name).await?;
        }
    }
    for file in &info.files {
        let name = file.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            let problem = std::io::Error::other("its name is not UTF-8");
            RegistryError::file("store", file)(problem)
        })?;
        registry.upload(run, file, name).await?;
    }
    Ok(())
}

/// Packing takes seconds of processor time, which other tasks must not wait for.
async fn pack_aside(bundle: &Bundle, archive: &Path) -> Result<(), RegistryError> {
    let (bundle, target) = (bundle.clone(), archive.to_owned());
    let packed = tokio::task::spawn_blocking(move || pack(&bundle, &target)).await;
    let packed = packed.map_err(|e| RegistryError::file("write", archive)(std::io::Error::other(e)))?;
    Ok(packed?)
}
