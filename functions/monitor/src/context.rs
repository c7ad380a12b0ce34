use std::time::Duration;

use modloop_cloud::{RetrainQueue, sdk_config, secret};
use modloop_environment::required;
use modloop_store::{Credentials, Database, DatabaseSettings};

/// What a run needs, built once per process.
pub struct Context<Q> {
    /// Predictions, reports and episodes.
    pub database: Database,
    /// Where retrain requests go.
    pub requests: Q,
}

/// Counting ten million predictions takes about a minute on a small server.
const MAX_STATEMENT: Duration = Duration::from_secs(120);

/// Reads the environment and connects to the database. Any error says what is wrong and what to do.
pub async fn start() -> anyhow::Result<Context<RetrainQueue>> {
    let queue_url = required("RETRAIN_QUEUE_URL", "set it to the URL of the queue of retrain requests")?;
    let secret_arn = required(
        "DATABASE_SECRET_ARN",
        "set it to the ARN of the secret with the database's username and password",
    )?;
    let cloud = sdk_config().await;
    let credentials: Credentials = secret(&cloud, &secret_arn).await?;
    let server = DatabaseSettings::from_environment(credentials)?.with_statement_timeout(MAX_STATEMENT);
    let database = Database::new(server);
    drop(database.session().await?);
    tracing::info!("ready");
    Ok(Context { database, requests: RetrainQueue::new(&cloud, queue_url) })
}
