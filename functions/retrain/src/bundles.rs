use std::path::Path;

use modloop_bundle::{Bundle, pack, unpack};
use modloop_domain::ModelVersion;
use modloop_store::models::NewModel;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::{Context, RetrainError};

/// A checked bundle with the folder it was unpacked to, which goes when it does.
pub(crate) struct OpenBundle {
    pub(crate) bundle: Bundle,
    folder: Option<TempDir>,
}

const ARCHIVE: &str = "bundle.tar.gz";

impl OpenBundle {
    /// Size of the archive it came in; of its files where it came in none.
    pub(crate) fn bytes(&self) -> u64 {
        let archive = self.folder.as_ref().and_then(|f| std::fs::metadata(f.path().join(ARCHIVE)).ok());
        archive.map_or_else(|| self.bundle.manifest().files.values().map(|f| f.bytes).sum(), |m| m.len())
    }
}

/// The bundle in the function's package.
pub(crate) async fn shipped(folder: &Path) -> Result<Bundle, RetrainError> {
    let folder = folder.to_owned();
    blocking("opening the shipped bundle", move || Ok(Bundle::open(&folder)?)).await
}

/// As the database knows it.
pub(crate) fn as_model(bundle: &Bundle, bundle_uri: Option<String>) -> NewModel {
    let manifest = bundle.manifest();
    NewModel {
        version: manifest.version.clone(),
        labels: manifest.labels.clone(),
        baseline: json!(manifest.baseline),
        metrics: manifest.metrics.clone(),
        bundle_uri,
    }
}

/// Downloads, unpacks and checks a bundle.
pub(crate) async fn download(context: &Context, uri: &str) -> Result<OpenBundle, RetrainError> {
    let folder = tempfile::tempdir().map_err(RetrainError::file("make a folder for a bundle"))?;
    let archive = folder.path().join(ARCHIVE);
    context.outside.files.download(uri, &archive).await?;
    let dest = folder.path().join("bundle");
    let bundle = blocking("unpacking a bundle", move || Ok(unpack(&archive, &dest)?)).await?;
    Ok(OpenBundle { bundle, folder: Some(folder) })
}

/// The bundle of a known model: the function's own, or from S3.
pub(crate) async fn open(context: &Context, version: &ModelVersion) -> Result<OpenBundle, RetrainError> {
    match address(context, version).await? {
        Some(uri) => download(context, &uri).await,
        None => Ok(OpenBundle { bundle: shipped(&context.settings.shipped_bundle).await?, folder: None }),
    }
}

/// Where the bundle lies in S3. The shipped one is put there when nobody did yet: jobs start from it.
pub(crate) async fn stored(context: &Context, version: &ModelVersion) -> Result<String, RetrainError> {
    if let Some(uri) = address(context, version).await? {
        return Ok(uri);
    }
    let uri = uri(context, version);
    if !context.outside.files.exists(&uri).await? {
        let folder = tempfile::tempdir().map_err(RetrainError::file("make a folder for a bundle"))?;
        let (archive, bundle) =
            (folder.path().join(ARCHIVE), shipped(&context.settings.shipped_bundle).await?);
        let target = archive.clone();
        blocking("packing the shipped bundle", move || Ok(pack(&bundle, &target)?)).await?;
        context.outside.files.upload(&archive, &uri).await?;
    }
    Ok(uri)
}

/// Where a bundle of that version is kept.
pub(crate) fn uri(context: &Context, version: &ModelVersion) -> String {
    format!("s3://{}/bundles/{version}.tar.gz", context.settings.bundles_bucket)
}

/// Keeps an unpacked bundle where inference finds it.
pub(crate) async fn keep(context: &Context, open: &OpenBundle) -> Result<String, RetrainError> {
    let uri = uri(context, open.bundle.version());
    let folder = tempfile::tempdir().map_err(RetrainError::file("make a folder for a bundle"))?;
    let (archive, bundle) = (folder.path().join(ARCHIVE), open.bundle.clone());
    let target = archive.clone();
    blocking("packing the challenger", move || Ok(pack(&bundle, &target)?)).await?;
    context.outside.files.upload(&archive, &uri).await?;
    Ok(uri)
}

/// `None`: it is the one in the function's package.
async fn address(context: &Context, version: &ModelVersion) -> Result<Option<String>, RetrainError> {
    if *version == context.shipped {
        return Ok(None);
    }
    let known = context.database.ask(async |store| store.known_models().await).await?;
    let uri = known.into_iter().find(|model| model.version == *version).and_then(|model| model.bundle_uri);
    let missing = || modloop_cloud::CloudError::Unexpected {
        what: format!("the bundle of model {version}"),
        reason: "no models.bundle_uri is known and it is not the one that ships with this release".into(),
    };
    Ok(Some(uri.ok_or_else(missing)?))
}

/// Work that takes the processor for a while.
pub(crate) async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, RetrainError> + Send + 'static,
) -> Result<T, RetrainError> {
    spawn_blocking(work).await.map_err(|_ended| RetrainError::BrokenOff(what))?
}
