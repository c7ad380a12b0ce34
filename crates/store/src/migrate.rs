use refinery::error::Kind;
use serde::Serialize;
use tokio_postgres::Client;

use crate::error::reason;
use crate::{DatabaseSettings, StoreError, connection};

mod embedded {
    refinery::embed_migrations!("../../migrations");
}

/// Migrations that start at the same time take turns. Any number that nothing else locks.
const LOCK: i64 = 0x4D4F_444C_4F4F_5000;

/// What one run of [`migrate`] did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MigrationReport {
    /// The migrations that this run applied, oldest first.
    pub applied: Vec<String>,
    /// The version of the schema now.
    pub version: i32,
}

/// Brings the schema up to date. Safe to run again and at the same time as another; each migration is
/// one transaction.
pub async fn migrate(settings: &DatabaseSettings) -> Result<MigrationReport, StoreError> {
    let mut client = connection::open(settings).await?;
    let doing = "taking the migration lock";
    // A migration may take as long as it needs, but must not wait for a table lock for long, because
    // everybody else waits behind it.
    client
        .batch_execute("set statement_timeout = 0; set lock_timeout = '60s'")
        .await
        .map_err(StoreError::query(doing))?;
    client.execute("select pg_advisory_lock($1)", &[&LOCK]).await.map_err(StoreError::query(doing))?;
    // The lock ends with the connection.
    run(&mut client).await
}

async fn run(client: &mut Client) -> Result<MigrationReport, StoreError> {
    refuse_pre_release(client).await?;
    let before = schema_version(client).await?;
    if let Some(version) = before.filter(|&version| version > newest_version()) {
        // An older release deployed again: its code works with the newer schema.
        tracing::warn!(version, known = newest_version(), "the schema is newer than this release");
        return Ok(MigrationReport { applied: Vec::new(), version });
    }
    let report = embedded::migrations::runner().run_async(client).await.map_err(|e| migration_error(&e))?;
    let applied = report.applied_migrations().iter().map(ToString::to_string).collect();
    Ok(MigrationReport { applied, version: newest_version() })
}

fn migration_error(error: &refinery::Error) -> StoreError {
    let doing = "migrating the database";
    match error.kind() {
        Kind::Connection(what, source) => {
            let retryable = source.downcast_ref().is_some_and(crate::error::may_pass);
            StoreError::Query { doing, reason: format!("{what}: {}", reason(&**source)), retryable }
        }
        other => StoreError::Query { doing, reason: other.to_string(), retryable: false },
    }
}

/// Refuses a schema that this code cannot work with.
pub(crate) async fn check_schema(client: &Client) -> Result<(), StoreError> {
    let found = schema_version(client).await?;
    let needed = newest_version();
    if found.is_none_or(|version| version < needed) {
        refuse_pre_release(client).await?;
        return Err(StoreError::SchemaTooOld { found, needed });
    }
    refuse_pre_release(client).await
}

/// The first schema of a pre-release had another name, and its items were keyed by `fullname`.
async fn refuse_pre_release(client: &Client) -> Result<(), StoreError> {
    let old: bool = client
        .query_typed_one("select to_regclass('subreddits') is not null", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(StoreError::query("reading the schema version"))?;
    if old { Err(StoreError::PreRelease) } else { Ok(()) }
}

/// The newest migration that ran; `None` before the first.
pub(crate) async fn schema_version(client: &Client) -> Result<Option<i32>, StoreError> {
    let doing = "reading the schema version";
    let error = StoreError::query(doing);
    let history: bool = client
        .query_typed_one("select to_regclass('refinery_schema_history') is not null", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(&error)?;
    if !history {
        return Ok(None);
    }
    let newest = client.query_typed_one("select max(version) from refinery_schema_history", &[]).await;
    newest.and_then(|row| row.try_get(0)).map_err(&error)
}

/// The newest migration this code was built with.
pub(crate) fn newest_version() -> i32 {
    let runner = embedded::migrations::runner();
    runner.get_migrations().iter().map(refinery::Migration::version).max().unwrap_or_default()
}

/// Changes when any migration does.
#[cfg(feature = "testing")]
pub(crate) fn fingerprint() -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    let runner = embedded::migrations::runner();
    let mut checksums: Vec<u64> = runner.get_migrations().iter().map(refinery::Migration::checksum).collect();
    checksums.sort_unstable();
    checksums.hash(&mut hasher);
    hasher.finish()
}
