use modloop_domain::ModelVersion;

use crate::transport::Transport;
use crate::{RegistryError, RegistrySettings};

/// An MLflow server: experiments, runs, artifacts, and one registered model with versions and aliases.
///
/// Every method may be called again after it failed or was cut off: it finds what is there already. Each tries
/// again by itself where that can help.
#[derive(Debug)]
pub struct Registry {
    pub(crate) transport: Transport,
}

impl Registry {
    /// A client. Nothing is sent yet.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(settings: RegistrySettings) -> Result<Self, RegistryError> {
        Ok(Self { transport: Transport::new(settings)? })
    }

    /// Name of the registered model.
    pub fn model_name(&self) -> &str {
        &self.transport.settings.model
    }

    /// Name of the experiment that runs belong to.
    pub fn experiment_name(&self) -> &str {
        &self.transport.settings.experiment
    }

    /// Where a person looks at a version: a page of MLflow's own.
    pub fn version_page(&self, registry_version: u32) -> String {
        let server = self.transport.settings.endpoint.as_str().trim_end_matches('/');
        format!("{server}/#/models/{}/versions/{registry_version}", self.model_name())
    }

    /// Runs a unit of work that may be repeated, again where that can help.
    pub(crate) async fn retry<T, F, Fut>(&self, work: F) -> Result<T, RegistryError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, RegistryError>>,
    {
        self.transport.settings.retries.run(work).await
    }
}

/// The tag by which a version of a bundle is found again.
pub(crate) const VERSION_TAG: &str = "modloop.version";
/// The tag by which a run is found again.
pub(crate) const RUN_TAG: &str = "modloop.run";

/// `tags.KEY = 'VALUE'` in MLflow's language for searches. Versions hold no quotes.
pub(crate) fn version_filter(version: &ModelVersion) -> String {
    tag_filter(VERSION_TAG, version.as_str())
}

/// The value must be free of quotes.
pub(crate) fn tag_filter(tag: &str, value: &str) -> String {
    format!("tags.`{tag}` = '{value}'")
}
