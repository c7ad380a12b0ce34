use async_trait::async_trait;
use modloop_bundle::Bundle;
use modloop_domain::ModelVersion;
use modloop_registry::{Alias, Registry, RegistryError, RunInfo, register_bundle};

use super::KeepModels;

/// An MLflow server.
pub struct Mlflow(pub Registry);

#[async_trait(?Send)]
impl KeepModels for Mlflow {
    async fn register(&self, bundle: &Bundle, info: &RunInfo) -> Result<String, RegistryError> {
        Ok(register_bundle(&self.0, bundle, info).await?.registry_version.to_string())
    }

    async fn knows(&self, version: &ModelVersion) -> Result<bool, RegistryError> {
        Ok(self.0.find_version(version).await?.is_some())
    }

    async fn point(
        &self,
        champion: &ModelVersion,
        challenger: Option<&ModelVersion>,
    ) -> Result<(), RegistryError> {
        for (alias, version) in [(Alias::Champion, Some(champion)), (Alias::Challenger, challenger)] {
            let number = match version {
                Some(version) => self.0.find_version(version).await?,
                None => None,
            };
            match number {
                Some((number, _run)) => self.0.set_alias(alias, number).await?,
                None => self.0.delete_alias(alias).await?,
            }
        }
        Ok(())
    }
}

/// Where no MLflow is set up: the database alone knows the models.
pub struct NoRegistry;

#[async_trait(?Send)]
impl KeepModels for NoRegistry {
    async fn register(&self, bundle: &Bundle, _info: &RunInfo) -> Result<String, RegistryError> {
        Ok(bundle.version().to_string())
    }

    async fn knows(&self, _version: &ModelVersion) -> Result<bool, RegistryError> {
        Ok(true)
    }

    async fn point(
        &self,
        _champion: &ModelVersion,
        _challenger: Option<&ModelVersion>,
    ) -> Result<(), RegistryError> {
        Ok(())
    }
}
