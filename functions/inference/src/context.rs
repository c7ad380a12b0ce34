use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use modloop_classifier::{BackendChoice, Classifier, ClassifierOptions};
use modloop_cloud::{BundleStorage, SdkConfig, sdk_config, secret};
use modloop_environment::{EnvironmentError, optional, required};
use modloop_store::models::NewModel;
use modloop_store::{Credentials, Database, DatabaseSettings, Store};

use crate::{BundleLoader, Models};

/// What a batch needs, built once per process.
pub struct Context<L> {
    /// Where texts come from and scores go.
    pub database: Database,
    /// The models of this process.
    pub models: Models<L>,
}

/// Long enough that a broken bundle costs little, short enough that a repaired one serves soon.
const TRY_BUNDLE_AGAIN_AFTER: Duration = Duration::from_secs(5 * 60);

/// Reads the environment, loads the shipped model, connects to the database and makes the model known
/// there. Any error says what is wrong and what to do; the process does not serve then.
pub async fn start() -> anyhow::Result<Context<BundleLoader>> {
    let settings = Settings::from_environment()?;
    let cloud = sdk_config().await;
    let options =
        ClassifierOptions::on_all_cores(settings.runtime_library.clone()).with_backend(settings.backend);
    let loader = BundleLoader::new(BundleStorage::new(&cloud), settings.bundle_dir.clone(), options);
    // The model loads on another thread meanwhile.
    let load = async { loader.shipped().await.context("the shipped model cannot be loaded") };
    let (shipped, database) = tokio::try_join!(load, connect(&settings, &cloud))?;
    database.ask(async |store| register(store, &shipped).await).await?;
    tracing::info!(model = %shipped.version(), backend = %shipped.backend(), "ready");
    Ok(Context { database, models: Models::new(loader, Arc::new(shipped), TRY_BUNDLE_AGAIN_AFTER) })
}

struct Settings {
    database_secret_arn: String,
    bundle_dir: PathBuf,
    runtime_library: PathBuf,
    backend: BackendChoice,
}

impl Settings {
    fn from_environment() -> Result<Self, EnvironmentError> {
        Ok(Self {
            database_secret_arn: required(
                "DATABASE_SECRET_ARN",
                "set it to the ARN of the secret with the database's username and password",
            )?,
            bundle_dir: packaged("BUNDLE_DIR", "bundle")?,
            runtime_library: packaged("ORT_DYLIB_PATH", "libonnxruntime.so")?,
            backend: BackendChoice::from_environment()?,
        })
    }
}

/// A path that a variable may set; without it, a file of the function's own package.
fn packaged(variable: &str, name: &str) -> Result<PathBuf, EnvironmentError> {
    match optional(variable)? {
        Some(path) => Ok(path.into()),
        None => {
            let advice = format!("Lambda sets it; elsewhere set {variable}");
            required("LAMBDA_TASK_ROOT", &advice).map(|root| PathBuf::from(root).join(name))
        }
    }
}

async fn connect(settings: &Settings, cloud: &SdkConfig) -> anyhow::Result<Database> {
    let credentials: Credentials = secret(cloud, &settings.database_secret_arn).await?;
    let database = Database::new(DatabaseSettings::from_environment(credentials)?);
    drop(database.session().await?);
    Ok(database)
}

/// Predictions refer to their model, so it is there before the first of them.
async fn register(store: &Store, shipped: &Classifier) -> Result<(), modloop_store::StoreError> {
    let manifest = shipped.bundle().manifest();
    store
        .register_model(&NewModel {
            version: manifest.version.clone(),
            labels: manifest.labels.clone(),
            baseline: serde_json::json!(manifest.baseline),
            metrics: manifest.metrics.clone(),
            bundle_uri: None,
        })
        .await
}
