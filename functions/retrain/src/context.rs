use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use modloop_classifier::{BackendChoice, ClassifierOptions};
use modloop_cloud::{BundleStorage, SdkConfig, TrainingJobs, sdk_config, secret};
use modloop_domain::ModelVersion;
use modloop_environment::{optional, required};
use modloop_labeler::ApiKey;
use modloop_registry::{Login, Registry, RegistrySettings};
use modloop_store::{Credentials, Database, DatabaseSettings};

use url::Url;

use crate::outside::{KeepModels, LabelTexts};
use crate::{LlmLabeler, Mlflow, NoRegistry, Outside, ServedModels, Settings};

/// What an invocation needs, built once per process.
pub struct Context {
    /// Runs, samples, labels, switches.
    pub database: Database,
    /// S3, SageMaker, the labeler, MLflow, models at work.
    pub outside: Outside,
    /// What the operator set.
    pub settings: Settings,
    /// The model in the function's package.
    pub shipped: ModelVersion,
    /// Whether this process saw the champion in the registry.
    pub champion_known: AtomicBool,
}

/// Reads the environment and the secrets, connects to the database and makes the shipped model known there.
/// Any error says what is wrong and what to do.
pub async fn start() -> anyhow::Result<Context> {
    let settings = Settings::from_environment()?;
    let secret_arn = required(
        "DATABASE_SECRET_ARN",
        "set it to the ARN of the secret with the database's username and password",
    )?;
    let cloud = sdk_config().await;
    let credentials: Credentials = secret(&cloud, &secret_arn).await?;
    let database_settings = DatabaseSettings::from_environment(credentials)?;
    let outside = outside(&cloud, &settings).await?;
    let context = Context::new(database_settings, outside, settings).await?;
    tracing::info!(shipped = %context.shipped, labeler = context.outside.labeler.is_some(), "ready");
    Ok(context)
}

impl Context {
    /// Connects, and makes the shipped model known.
    pub async fn new(
        database_settings: DatabaseSettings,
        outside: Outside,
        settings: Settings,
    ) -> anyhow::Result<Self> {
        let database = Database::new(database_settings);
        let shipped = crate::bundles::shipped(&settings.shipped_bundle).await?;
        let model = crate::bundles::as_model(&shipped, None);
        database.ask(async |store| store.register_model(&model).await).await?;
        let (shipped, champion_known) = (shipped.version().clone(), AtomicBool::new(false));
        Ok(Self { database, outside, settings, shipped, champion_known })
    }
}

async fn outside(cloud: &SdkConfig, settings: &Settings) -> anyhow::Result<Outside> {
    let options = ClassifierOptions::on_all_cores(settings.runtime_library.clone())
        .with_backend(BackendChoice::from_environment()?);
    Ok(Outside {
        files: Arc::new(BundleStorage::new(cloud)),
        jobs: Arc::new(TrainingJobs::new(cloud)),
        labeler: labeler(cloud).await?,
        registry: registry(cloud).await?,
        models: Arc::new(ServedModels::new(options)),
    })
}

async fn labeler(cloud: &SdkConfig) -> anyhow::Result<Option<Arc<dyn LabelTexts>>> {
    let Some(url) = optional("LABELER_URL")? else { return Ok(None) };
    let url = Url::parse(&url)
        .context("LABELER_URL cannot be read; set it to an address such as https://api.openai.com/v1")?;
    let secret_arn = required("LABELER_SECRET_ARN", "set it to the ARN of a secret with {\"api_key\"}")?;
    let key: ApiKey = secret(cloud, &secret_arn).await?;
    Ok(Some(Arc::new(LlmLabeler::new(url, key)?)))
}

async fn registry(cloud: &SdkConfig) -> anyhow::Result<Arc<dyn KeepModels>> {
    let Some(uri) = optional("MLFLOW_TRACKING_URI")? else { return Ok(Arc::new(NoRegistry)) };
    let login = match optional("MLFLOW_SECRET_ARN")? {
        Some(secret_arn) => secret(cloud, &secret_arn).await?,
        None if RegistrySettings::is_sagemaker(&uri) => {
            Login::Aws(cloud.credentials_provider().context("no AWS credentials to sign with")?)
        }
        None => Login::None,
    };
    Ok(Arc::new(Mlflow(Registry::new(RegistrySettings::new(&uri, login)?)?)))
}
