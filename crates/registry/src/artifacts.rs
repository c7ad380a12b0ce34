use std::path::Path;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use url::Url;

use crate::transport::{Payload, failed};
use crate::{Registry, RegistryError, Run};

/// A file of a run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Artifact {
    /// Below the run's folder of artifacts.
    pub path: String,
    /// In bytes; none for a folder.
    #[serde(default, rename = "file_size")]
    pub bytes: Option<u64>,
    /// Whether it is a folder.
    #[serde(default)]
    pub is_dir: bool,
}

/// How this client gets at a run's files.
enum Place {
    /// MLflow passes them on; the path below `mlflow-artifacts/artifacts/`.
    Proxied(String),
    /// In S3; MLflow signs addresses to put files at.
    S3,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    files: Vec<Artifact>,
}

/// What sagemaker-mlflow 0.5.0 reads (`s3_presigned_artifact_repo.py`).
#[derive(Deserialize)]
struct SignedAddress {
    presigned_url: String,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
}

impl Registry {
    /// Stores `file` with a run under `path`, such as `bundle/bundle.tar.gz`. Stored again, it is replaced.
    pub async fn upload(&self, run: &Run, file: &Path, path: &str) -> Result<(), RegistryError> {
        self.retry(|| async {
            match place(run, "write")? {
                Place::Proxied(folder) => self.upload_through_mlflow(&folder, file, path).await,
                Place::S3 => self.upload_to_s3(run, file, path).await,
            }
        })
        .await
    }

    async fn upload_through_mlflow(
        &self,
        folder: &str,
        file: &Path,
        path: &str,
    ) -> Result<(), RegistryError> {
        let (call, target) = (format!("PUT artifact {path}"), artifact_path(folder, path));
        self.transport.send(&call, Method::PUT, &target, Payload::File(file)).await.map(drop)
    }

    async fn upload_to_s3(&self, run: &Run, file: &Path, path: &str) -> Result<(), RegistryError> {
        let body = json!({ "run_id": run.id, "path": path, "expiration": 900 });
        let address: SignedAddress = self.post("artifacts/presigned-upload-url", body).await?;
        let headers: Vec<(String, String)> = address.headers.into_iter().collect();
        let call = format!("PUT artifact {path} to S3");
        let url: Url = address.presigned_url.parse().map_err(|_| RegistryError::Malformed {
            call: call.clone(),
            problem: "a signed address that is none".into(),
        })?;
        self.transport.put_signed(&call, url, &headers, file).await
    }

    /// Writes an artifact of a run to `file`, which appears only when it is whole.
    pub async fn download(&self, run: &Run, path: &str, file: &Path) -> Result<(), RegistryError> {
        let Place::Proxied(folder) = place(run, "read")? else {
            return Err(out_of_reach(run, "read"));
        };
        let part = file.with_extension("part");
        self.retry(|| self.download_once(&folder, path, &part)).await?;
        tokio::fs::rename(&part, file).await.map_err(RegistryError::file("write", file))
    }

    async fn download_once(&self, folder: &str, path: &str, part: &Path) -> Result<(), RegistryError> {
        let (call, source) = (format!("GET artifact {path}"), artifact_path(folder, path));
        let mut answer = self.transport.send(&call, Method::GET, &source, Payload::Download).await?;
        let write = || RegistryError::file("write", part);
        let patience = self.transport.settings.file_timeout;
        let mut out = tokio::fs::File::create(part).await.map_err(write())?;
        while let Some(chunk) = answer.chunk().await.map_err(|e| failed(&call, patience, e))? {
            out.write_all(&chunk).await.map_err(write())?;
        }
        out.flush().await.map_err(write())
    }

    /// The files and folders of a run directly below `folder`; below its root when that is empty.
    pub async fn artifacts(&self, run: &Run, folder: &str) -> Result<Vec<Artifact>, RegistryError> {
        let query = [("run_id", run.id.as_str()), ("path", folder)];
        let query = if folder.is_empty() { &query[..1] } else { &query[..] };
        let listing: Listing = self.retry(|| self.get("artifacts/list", query)).await?;
        Ok(listing.files)
    }
}

fn place(run: &Run, action: &'static str) -> Result<Place, RegistryError> {
    let uri = run.artifact_uri.as_str();
    // `mlflow-artifacts:/1/RUN/artifacts`, or with the server's host behind two slashes.
    if let Some(rest) = uri.strip_prefix("mlflow-artifacts:") {
        let path = match rest.strip_prefix("//") {
            Some(with_host) => with_host.split_once('/').map_or("", |(_host, path)| path),
            None => rest,
        };
        return Ok(Place::Proxied(path.trim_matches('/').to_owned()));
    }
    if uri.starts_with("s3://") { Ok(Place::S3) } else { Err(out_of_reach(run, action)) }
}

fn out_of_reach(run: &Run, action: &'static str) -> RegistryError {
    RegistryError::Artifacts { run: run.id.clone(), place: run.artifact_uri.clone(), action }
}

fn artifact_path(folder: &str, path: &str) -> String {
    format!("api/2.0/mlflow-artifacts/artifacts/{folder}/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(artifact_uri: &str) -> Run {
        Run { id: "abc".into(), artifact_uri: artifact_uri.into(), start_time: 0 }
    }

    #[test]
    fn artifacts_that_mlflow_passes_on_are_found_with_and_without_a_host() {
        for uri in ["mlflow-artifacts:/1/abc/artifacts", "mlflow-artifacts://host:5000/1/abc/artifacts"] {
            let place = place(&run(uri), "read").ok();
            assert!(matches!(place, Some(Place::Proxied(path)) if path == "1/abc/artifacts"), "{uri}");
        }
    }

    #[test]
    fn a_folder_on_the_server_is_out_of_reach_and_named() {
        let error = place(&run("file:///srv/mlruns/1"), "write").err().expect("no way there").to_string();
        assert!(error.contains("file:///srv/mlruns/1") && error.contains("abc"), "{error}");
    }
}
