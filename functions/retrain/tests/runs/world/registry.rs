use std::sync::Arc;

use async_trait::async_trait;
use modloop_bundle::Bundle;
use modloop_cloud::CloudError;
use modloop_domain::ModelVersion;
use modloop_registry::{RegistryError, RunInfo};
use modloop_retrain::KeepModels;

use super::Outer;

/// Versions and aliases in memory; finds what is there, as the real one does.
pub(super) struct MemoryRegistry(pub(super) Arc<Outer>);

fn unavailable(error: CloudError) -> RegistryError {
    RegistryError::Refused {
        call: error.to_string(),
        status: 503,
        code: String::new(),
        message: String::new(),
    }
}

#[async_trait(?Send)]
impl KeepModels for MemoryRegistry {
    async fn register(&self, bundle: &Bundle, _info: &RunInfo) -> Result<String, RegistryError> {
        self.0.point("registry").await.map_err(unavailable)?;
        let version = bundle.version().to_string();
        let number = {
            let mut versions = self.0.versions.lock().expect("no panic");
            let found = versions.iter().position(|known| *known == version);
            found.unwrap_or_else(|| {
                versions.push(version);
                versions.len() - 1
            })
        };
        self.0.point("registry").await.map_err(unavailable)?;
        Ok((number + 1).to_string())
    }

    async fn knows(&self, version: &ModelVersion) -> Result<bool, RegistryError> {
        self.0.point("registry").await.map_err(unavailable)?;
        Ok(self.0.versions.lock().expect("no panic").iter().any(|known| known == version.as_str()))
    }

    async fn point(
        &self,
        champion: &ModelVersion,
        challenger: Option<&ModelVersion>,
    ) -> Result<(), RegistryError> {
        self.0.point("registry").await.map_err(unavailable)?;
        *self.0.aliases.lock().expect("no panic") =
            (champion.to_string(), challenger.map(ToString::to_string));
        self.0.point("registry").await.map_err(unavailable)
    }
}
