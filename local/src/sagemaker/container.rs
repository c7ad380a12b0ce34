//! The container's file system: what SageMaker lays out below `/opt/ml`, here below a folder of the job.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aws_sdk_s3::Client;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::storage;

/// SageMaker shows no more of a failure.
const MAX_REASON: usize = 1024;

/// What stands for `/opt/ml`.
#[derive(Debug, Clone)]
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new(job: &Path) -> Self {
        Self(job.join("ml"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes the configuration and fetches every channel. What an earlier try left is replaced, but for checkpoints.
    pub(crate) async fn prepare(&self, request: &Value, s3: &Client) -> Result<()> {
        for part in ["input", "model", "output"] {
            let part = self.0.join(part);
            if part.exists() {
                fs::remove_dir_all(&part).with_context(|| format!("delete {}", part.display()))?;
            }
        }
        for part in ["input/config", "input/data", "model", "output", "checkpoints"] {
            let part = self.0.join(part);
            fs::create_dir_all(&part).with_context(|| format!("create {}", part.display()))?;
        }
        self.write("input/config/hyperparameters.json", &request["HyperParameters"])?;
        self.write(
            "input/config/resourceconfig.json",
            &json!({"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"}),
        )?;
        let mut channels = json!({});
        for channel in request["InputDataConfig"].as_array().into_iter().flatten() {
            let name = channel["ChannelName"].as_str().unwrap_or_default();
            let uri = channel["DataSource"]["S3DataSource"]["S3Uri"].as_str().unwrap_or_default();
            channels[name] = json!({"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"});
            storage::download(s3, uri, &self.0.join("input/data").join(name)).await?;
        }
        self.write("input/config/inputdataconfig.json", &channels)
    }

    fn write(&self, file: &str, value: &Value) -> Result<()> {
        let file = self.0.join(file);
        // A job without hyperparameters has an empty object.
        let value = if value.is_null() { &json!({}) } else { value };
        fs::write(&file, value.to_string()).with_context(|| format!("write {}", file.display()))
    }

    /// What the program wrote about its failure.
    pub(crate) fn failure(&self) -> Option<String> {
        let text = fs::read_to_string(self.0.join("output/failure")).ok()?;
        Some(text.chars().take(MAX_REASON).collect())
    }

    /// Packs `model/` as SageMaker does.
    pub(crate) fn pack(&self) -> Result<PathBuf> {
        let file = self.0.join("model.tar.gz");
        let out = fs::File::create(&file).with_context(|| format!("create {}", file.display()))?;
        let mut archive = tar::Builder::new(GzEncoder::new(out, Compression::fast()));
        archive
            .append_dir_all(".", self.0.join("model"))
            .and_then(|()| archive.into_inner()?.finish()?.sync_all())
            .with_context(|| format!("write {}", file.display()))?;
        Ok(file)
    }
}
