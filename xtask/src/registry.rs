//! MLflow beside the stack: nothing waits for it, and nothing fails with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use modloop_bundle::Bundle;
use modloop_local::cloud::Cloud;
use modloop_local::mlflow::{Health, Mlflow, MlflowFiles};
use modloop_local::secrets::put_secret;
use modloop_registry::{
    Alias, Login, RegisteredVersion, Registry, RegistrySettings, RunInfo, register_bundle,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::setup::Tools;

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
    Ready(RegisteredVersion),
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
    /// Starts MLflow in `folder`, or takes the person's own, and registers `bundle` there in the background.
    pub(crate) fn start(tools: &Tools, folder: &Path, own: Option<OwnRegistry>, bundle: PathBuf) -> Self {
        match own {
            Some(own) => Self::register_in_background(own, None, bundle),
            None => match launch(tools, folder) {
                Ok(mlflow) => {
                    let ours = OwnRegistry { tracking_uri: mlflow.url().to_owned(), login: Login::None };
                    Self::register_in_background(ours, Some(mlflow), bundle)
                }
                Err(error) => Self::unusable(&error),
            },
        }
    }

    fn register_in_background(server: OwnRegistry, ours: Option<Mlflow>, bundle: PathBuf) -> Self {
        let (teller, progress) = watch::channel(Progress::Starting);
        let known = server.clone();
        let health = ours.as_ref().map(Mlflow::health);
        let registering = tokio::spawn(async move {
            let outcome = register_champion(server, health, bundle).await;
            teller.send_replace(match outcome {
                Ok(registered) => Progress::Ready(registered),
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

    /// Waits until the shipped champion is registered.
    pub(crate) async fn champion(&mut self) -> Result<RegisteredVersion> {
        loop {
            match self.progress() {
                Progress::Starting => tokio::time::sleep(Duration::from_millis(200)).await,
                Progress::Ready(registered) => return Ok(registered),
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

    /// A client for it.
    pub(crate) fn client(&self) -> Result<Registry> {
        self.server.client()
    }

    /// One line for the status.
    pub(crate) fn line(&mut self) -> String {
        match self.progress() {
            Progress::Starting => format!("starting at {}", self.url()),
            Progress::Ready(champion) => {
                format!("{} (version {} is {})", self.url(), champion.registry_version, champion.version)
            }
            Progress::Unusable(reason) => {
                format!("not in use; the loop goes on without it: {}", reason.replace('\n', " "))
            }
        }
    }
}

fn launch(tools: &Tools, folder: &Path) -> Result<Mlflow> {
    Mlflow::launch(&MlflowFiles {
        program: tools.mlflow.clone(),
        folder: folder.join("mlflow"),
        log: folder.join("logs/mlflow.log"),
    })
}

/// Registers the shipped champion, and gives it the alias unless another version has it.
async fn register_champion(
    server: OwnRegistry,
    health: Option<Health>,
    bundle: PathBuf,
) -> Result<RegisteredVersion> {
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
    Ok(registered)
}
