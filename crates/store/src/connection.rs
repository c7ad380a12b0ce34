use modloop_domain::HashKey;
use tokio::sync::OnceCell;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Row, Socket};

use crate::error::{may_pass, reason};
use crate::row::column;
use crate::{DatabaseSettings, StoreError, migrate, tls};

const MIN_SERVER_VERSION: u32 = 14;

/// A parameter with its type. Naming the type saves a round trip, and needs no named statement, so that a
/// pooler in transaction mode works.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// One connection to the database. What it can be asked lies in one module for each subject.
///
/// Calls on one connection are pipelined: futures that are awaited together share a round trip.
pub struct Store {
    client: Client,
    hash_key: OnceCell<HashKey>,
}

impl Store {
    /// Connects, and checks that server and schema are new enough. One attempt: [`crate::Database`] tries
    /// again.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Store, StoreError> {
        let client = open(settings).await?;
        migrate::check_schema(&client).await?;
        Ok(Store { client, hash_key: OnceCell::new() })
    }

    /// Whether the connection is known to be lost. Says nothing about a server that does not answer.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The installation's key for hashes of texts and names, read once for each connection.
    pub async fn hash_key(&self) -> Result<&HashKey, StoreError> {
        let read = async || {
            let row =
                self.row("reading the installation's key", "select hash_key from installation", &[]).await?;
            HashKey::from_bytes(column(&row, "hash_key")?)
                .ok_or_else(|| StoreError::corrupt("an installation key of the wrong length"))
        };
        self.hash_key.get_or_try_init(read).await
    }

    /// All rows of a query.
    pub(crate) async fn rows(
        &self,
        doing: &'static str,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.client.query_typed(sql, parameters).await.map_err(StoreError::query(doing))
    }

    /// The one row of a query that has always one.
    pub(crate) async fn row(
        &self,
        doing: &'static str,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Row, StoreError> {
        self.client.query_typed_one(sql, parameters).await.map_err(StoreError::query(doing))
    }

    /// The row of a query that has one or none.
    pub(crate) async fn row_or_none(
        &self,
        doing: &'static str,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, StoreError> {
        self.client.query_typed_opt(sql, parameters).await.map_err(StoreError::query(doing))
    }

    /// Runs a statement and tells how many rows it changed.
    pub(crate) async fn change(
        &self,
        doing: &'static str,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64, StoreError> {
        self.client.execute_typed(sql, parameters).await.map_err(StoreError::query(doing))
    }
}

/// Connects whatever the schema is.
pub(crate) async fn open(settings: &DatabaseSettings) -> Result<Client, StoreError> {
    let client = match settings.config().get_ssl_mode() {
        SslMode::Disable => start(settings, NoTls).await?,
        _ => {
            let address = settings.address();
            let connector = tls::connector().map_err(|e| StoreError::Tls { address, reason: reason(&e) })?;
            start(settings, connector).await?
        }
    };
    // The roles of functions have a time limit of their own, which holds behind a pooler too.
    if let Some(limit) = settings.statement_timeout() {
        client
            .batch_execute(&format!("set statement_timeout = {}", limit.as_millis()))
            .await
            .map_err(StoreError::query("setting up the database session"))?;
    }
    Ok(client)
}

async fn start<T>(settings: &DatabaseSettings, tls: T) -> Result<Client, StoreError>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let connecting = settings.config().connect(tls);
    let (client, connection) = connecting.await.map_err(|e| connect_error(settings, &e))?;
    check_version(settings, connection.parameter("server_version").unwrap_or("unknown"))?;
    tokio::spawn(async move {
        match connection.await {
            Ok(()) => tracing::debug!("database connection closed"),
            Err(error) => tracing::warn!(reason = reason(&error), "database connection lost"),
        }
    });
    Ok(client)
}

/// Postgres reports its version when it accepts a connection, such as "16.4 (Debian 16.4-1)".
fn check_version(settings: &DatabaseSettings, version: &str) -> Result<(), StoreError> {
    let major = version.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    if major.is_some_and(|major: u32| major >= MIN_SERVER_VERSION) {
        return Ok(());
    }
    Err(StoreError::ServerTooOld { address: settings.address(), found: version.to_owned() })
}

/// Each of these is mended in another place.
fn connect_error(settings: &DatabaseSettings, error: &tokio_postgres::Error) -> StoreError {
    let (address, reason) = (settings.address(), reason(error));
    // Only the words tell the kind of a client-side error; a test fails if they change.
    let words = error.to_string();
    match error.code() {
        Some(&SqlState::INVALID_CATALOG_NAME) => {
            StoreError::DatabaseMissing { address, database: settings.database().to_owned() }
        }
        Some(code) if code.code().starts_with("28") => {
            StoreError::Refused { address, user: settings.user().to_owned(), reason }
        }
        Some(_) if !may_pass(error) => {
            StoreError::Query { doing: "connecting to the database", reason, retryable: false }
        }
        None if words == "authentication error" || words == "invalid configuration" => {
            StoreError::Refused { address, user: settings.user().to_owned(), reason }
        }
        None if words == "error performing TLS handshake" && !is_broken_off(error) => {
            StoreError::Tls { address, reason }
        }
        _ => StoreError::Unreachable { address, reason },
    }
}

/// A handshake that ended because the server went away, as in a restart. The certificate is not at fault.
fn is_broken_off(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    let here = error.downcast_ref::<std::io::Error>().is_some_and(|e| {
        [BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof].contains(&e.kind())
    });
    here || error.source().is_some_and(is_broken_off)
}
