//! Tells whether what is to be deployed is deployed already: a deployment takes ten seconds even when nothing changed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::endpoint::{Endpoint, Json};

/// Kept in the cloud itself, so that it is lost whenever what it stands for is lost.
const PARAMETER: &str = "/modloop/deployed";

/// A digest of everything that a deployment depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint(String);

impl Fingerprint {
    /// Of these files, of all files in these folders, and of the parameters.
    pub(crate) fn of(paths: &[PathBuf], parameters: &[(&str, String)]) -> Result<Self> {
        let mut hash = Sha256::new();
        for path in paths {
            add(&mut hash, path).with_context(|| format!("read {}", path.display()))?;
        }
        for (name, value) in parameters {
            add_text(&mut hash, name);
            add_text(&mut hash, value);
        }
        Ok(Self(hex::encode(hash.finalize())))
    }

    /// Whether the cloud has noted this one.
    pub(crate) async fn is_noted(&self, endpoint: &Endpoint) -> bool {
        let noted = endpoint.call("AmazonSSM.GetParameter", Json::V1_1, json!({ "Name": PARAMETER })).await;
        noted.is_ok_and(|noted| noted["Parameter"]["Value"] == self.0.as_str())
    }

    /// Notes this one in the cloud.
    pub(crate) async fn note(&self, endpoint: &Endpoint) -> Result<()> {
        let input = json!({ "Name": PARAMETER, "Value": self.0, "Type": "String", "Overwrite": true });
        endpoint.call("AmazonSSM.PutParameter", Json::V1_1, input).await?;
        Ok(())
    }
}

fn add(hash: &mut Sha256, path: &Path) -> std::io::Result<()> {
    add_text(hash, &path.to_string_lossy());
    if !path.is_dir() {
        hash.update(Sha256::digest(fs::read(path)?));
        return Ok(());
    }
    let mut entries =
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    entries.iter().try_for_each(|entry| add(hash, entry))
}

fn add_text(hash: &mut Sha256, text: &str) {
    hash.update(text.len().to_le_bytes());
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_changes_with_any_file_and_any_parameter() -> Result<()> {
        let place = tempfile::tempdir()?;
        let folder = place.path().join("functions");
        fs::create_dir_all(folder.join("bundle"))?;
        fs::write(folder.join("bundle/model"), "1")?;
        let paths = [folder.clone()];
        let of = |value: &str| Fingerprint::of(&paths, &[("DatabasePort", value.to_owned())]);

        let first = of("5432")?;
        assert_eq!(of("5432")?, first);
        assert_ne!(of("5433")?, first);
        fs::write(folder.join("bundle/model"), "2")?;
        assert_ne!(of("5432")?, first);
        Ok(())
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Fingerprint::of(&["/no/such/file".into()], &[]).expect_err("not there");
        assert_eq!(error.to_string(), "read /no/such/file");
    }
}
