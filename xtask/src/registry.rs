//! MLflow beside the stack: nothing waits for it, and nothing fails with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use modloop_bundle::Bundle;
use modloop_local::cloud::Cloud;
use modloop_local::mlflow::{Health, Mlflow, MlflowFiles};
use modloop_local::secrets::put_secret;
use modloop_registry::{Alias, AliasTarget, Login, Registry, RegistrySettings, RunInfo, register_bundle};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The status waits no longer for MLflow's answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// An MLflow of the person's own.
#[derive(Debug, Clone)]
pub(crate) struct OwnRegistry {
    pub tracking_uri: String,
    pub login: Login,
}

impl OwnRegistry {
    fn client(&self) -> Result<Registry> {
        Ok(Registry::new(RegistrySettings::new(&self.tracking_uri, self.login.clone())?)?)
    }
}

/// How far MLflow is.
#[derive(Debug, Clone)]
pub(crate) enum Progress {
    /// It does not answer yet, or the shipped champion is on its way there.
    Starting,
    /// It answers and knows the shipped champion.
    Ready(Arc<Registry>),
    /// It cannot be used, for this reason.
    Unusable(String),
}

/// MLflow, and the task that registers the shipped champion as soon as it answers. Dropping it stops both.
pub(crate) struct RegistryServer {
    /// Where it is; nowhere while it cannot be used.
    server: OwnRegistry,
    progress: watch::Receiver<Progress>,
    registering: JoinHandle<()>,
    ours: Option<Mlflow>,
}

impl Drop for RegistryServer {
    fn drop(&mut self) {
        self.registering.abort();
    }
}

impl RegistryServer {
    /// Starts MLflow in `folder`, and registers `bundle` there in the background.
    pub(crate) fn ours(program: PathBuf, folder: &Path, bundle: PathBuf) -> Self {
        match launch(program, folder) {
            Ok(mlflow) => {
                let ours = OwnRegistry { tracking_uri: mlflow.url().to_owned(), login: Login::None };
                Self::register_in_background(ours, Some(mlflow), bundle)
            }
            Err(error) => Self::unusable(&error),
        }
    }

    /// Takes the person's own MLflow, and registers `bundle` there in the background.
    pub(crate) fn yours(own: OwnRegistry, bundle: PathBuf) -> Self {
        Self::register_in_background(own, None, bundle)
    }

    fn register_in_background(server: OwnRegistry, ours: Option<Mlflow>, bundle: PathBuf) -> Self {
        let (teller, progress) = watch::channel(Progress::Starting);
        let known = server.clone();
        let health = ours.as_ref().map(Mlflow::health);
        let registering = tokio::spawn(async move {
            let outcome = register_champion(server, health, bundle).await;
            teller.send_replace(match outcome {
                Ok(registry) => Progress::Ready(Arc::new(registry)),
                Err(error) => Progress::Unusable(format!("{error:#}")),
            });
        });
        Self { server: known, progress, registering, ours }
    }

    fn unusable(error: &anyhow::Error) -> Self {
        let (_, progress) = watch::channel(Progress::Unusable(format!("{error:#}")));
        let registering = tokio::spawn(async {});
        let nowhere = OwnRegistry { tracking_uri: String::new(), login: Login::None };
        Self { server: nowhere, progress, registering, ours: None }
    }

    /// How far it is now.
    pub(crate) fn progress(&mut self) -> Progress {
        if let Some(mlflow) = &mut self.ours
            && !matches!(mlflow.ended(), Ok(None))
        {
            return Progress::Unusable(format!(
                "it stopped by itself; its log is {}",
                mlflow.log().display()
            ));
        }
        self.progress.borrow().clone()
    }

    /// Waits until the shipped champion is registered. Gives a client.
    pub(crate) async fn ready(&mut self) -> Result<Arc<Registry>> {
        loop {
            match self.progress() {
                Progress::Starting => tokio::time::sleep(Duration::from_millis(200)).await,
                Progress::Ready(registry) => return Ok(registry),
                Progress::Unusable(reason) => bail!("MLflow cannot be used: {reason}"),
            }
        }
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.server.tracking_uri
    }

    /// Template parameters; a login becomes a secret.
    pub(crate) async fn parameters(&self, cloud: &Cloud) -> Result<Vec<(&'static str, String)>> {
        let mut parameters = vec![("MlflowTrackingUri", self.url().to_owned())];
        if let Some(login) = self.server.login.to_secret() {
            let secret = put_secret(cloud.endpoint(), "modloop/mlflow", &login).await;
            parameters.push(("MlflowSecretArn", secret.context("cannot store MLflow's login")?));
        }
        Ok(parameters)
    }

    /// One line for the status.
    pub(crate) async fn line(&mut self) -> String {
        match self.progress() {
            Progress::Starting => format!("starting at {}", self.url()),
            Progress::Ready(registry) => {
                let answer = tokio::time::timeout(ANSWER_LIMIT, champion(&registry)).await;
                format!("{} ({})", self.url(), answer.as_deref().unwrap_or("no answer yet"))
            }
            Progress::Unusable(reason) => {
                format!("not in use; the loop goes on without it: {}", reason.replace('\n', " "))
            }
        }
    }
}

fn launch(program: PathBuf, folder: &Path) -> Result<Mlflow> {
    Mlflow::launch(&MlflowFiles {
        program,
        folder: folder.join("mlflow"),
        log: folder.join("logs/mlflow.log"),
    })
}

/// Names the version that has the champion's alias now: a retraining run may have moved it.
async fn champion(registry: &Registry) -> String {
    match registry.alias(Alias::Champion).await {
        Ok(Some(AliasTarget { registry_version, version: Some(version), .. })) => {
            format!("version {registry_version} is champion: {version}")
        }
        Ok(Some(AliasTarget { registry_version, .. })) => format!("version {registry_version} is champion"),
        Ok(None) => "no version is champion".to_owned(),
        Err(error) => error.to_string().replace('\n', " "),
    }
}

/// Registers the shipped champion, and gives it the alias unless another version has it.
async fn register_champion(server: OwnRegistry, health: Option<Health>, bundle: PathBuf) -> Result<Registry> {
    if let Some(health) = health {
        health.wait().await?;
    }
    let registry = server.client()?;
    let bundle = tokio::task::spawn_blocking(move || Bundle::open(&bundle)).await?;
    let registered = register_bundle(&registry, &bundle?, &RunInfo::default())
        .await
        .context("register the shipped champion")?;
    if registry.alias(Alias::Champion).await?.is_none() {
        registry.set_alias(Alias::Champion, registered.registry_version).await?;
    }
    Ok(registry)
}

#[cfg(test)]
mod tests {
    use modloop_bundle::testing::bundle;
    use modloop_registry::testing;

    use super::*;

    #[tokio::test]
    async fn the_status_names_the_version_that_is_champion_now() -> Result<()> {
        let registry = testing::registry();
        assert_eq!(champion(&registry).await, "no version is champion");
        let place = tempfile::tempdir()?;
        for version in ["shipped", "retrained"] {
            let bundle = bundle(&place.path().join(version), version, 1);
            let registered = register_bundle(&registry, &bundle, &RunInfo::default()).await?;
            registry.set_alias(Alias::Champion, registered.registry_version).await?;
        }
        assert_eq!(champion(&registry).await, "version 2 is champion: retrained");
        registry.set_alias(Alias::Champion, 1).await?;
        assert_eq!(champion(&registry).await, "version 1 is champion: shipped");
        Ok(())
    }
}
