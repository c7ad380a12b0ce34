//! Brings the database schema up to date.

use modloop_cloud::{CloudError, sdk_config, secret};
use modloop_environment::{EnvironmentError, required};
use modloop_store::{Credentials, DatabaseSettings, MigrationReport, SettingsError, StoreError, migrate};

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A variable is missing or unusable.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The database's address cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The secret cannot be read.
    #[error(transparent)]
    Secret(#[from] CloudError),
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MigrateError {
    /// Whether invoking the function again may help.
    pub fn is_retryable(&self) -> bool {
        match self {
            MigrateError::Secret(error) => error.is_retryable(),
            MigrateError::Store(error) => error.is_retryable(),
            MigrateError::Environment(_) | MigrateError::Settings(_) => false,
        }
    }
}

/// One invocation. Everything is read anew: it runs once for each deployment, and a password may have
/// been changed since the last.
pub async fn handle() -> Result<MigrationReport, MigrateError> {
    let result = run().await;
    match &result {
        Ok(report) => {
            tracing::info!(applied = ?report.applied, version = report.version, "schema is up to date")
        }
        Err(error) => {
            let retryable = error.is_retryable();
            tracing::error!(reason = %error, retryable, "the schema was not brought up to date");
        }
    }
    result
}

async fn run() -> Result<MigrationReport, MigrateError> {
    let arn = required(
        "DATABASE_SECRET_ARN",
        "set it to the ARN of the secret with the database's username and password",
    )?;
    let credentials: Credentials = secret(&sdk_config().await, &arn).await?;
    Ok(migrate(&DatabaseSettings::from_environment(credentials)?).await?)
}
