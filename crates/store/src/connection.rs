use std::time::Duration;

use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, NoTls, Socket};

use crate::error::{may_pass, reason};
use crate::{DatabaseSettings, StoreError, migrate, tls};

const OLDEST_SERVER: u32 = 14;
const ALIVE_WITHIN: Duration = Duration::from_secs(2);

/// One connection to the database. What it can be asked lies in a file for each topic.
pub struct Store {
    pub(crate) client: Client,
}

impl Store {
    /// Connects, and checks that server and schema are new enough. One attempt: [`crate::Database`] tries again.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Store, StoreError> {
        let client = open(settings).await?;
        let found = migrate::schema_version(&client).await?;
        let needed = migrate::newest_version();
        if found.is_none_or(|version| version < needed) {
            return Err(StoreError::SchemaTooOld { found, needed });
        }
        Ok(Store { client })
    }

    /// Whether the connection still answers. One round trip.
    pub async fn is_alive(&self) -> bool {
        let check = tokio::time::timeout(ALIVE_WITHIN, self.client.check_connection());
        !self.client.is_closed() && matches!(check.await, Ok(Ok(())))
    }
}

/// Connects to any schema, also none.
pub(crate) async fn open(settings: &DatabaseSettings) -> Result<Client, StoreError> {
    let client = match settings.config().get_ssl_mode() {
        SslMode::Disable => start(settings, NoTls).await?,
        _ => {
            let address = settings.address();
            let connector = tls::connector().map_err(|e| StoreError::Tls { address, reason: reason(&e) })?;
            start(settings, connector).await?
        }
    };
    let limit = settings.statement_timeout().as_millis();
    client
        .batch_execute(&format!("set statement_timeout = {limit}"))
        .await
        .map_err(StoreError::query("setting up the database session"))?;
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

/// Postgres says its version as it lets one in, such as "16.4 (Debian 16.4-1)".
fn check_version(settings: &DatabaseSettings, version: &str) -> Result<(), StoreError> {
    let major = version.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    if major.is_some_and(|major: u32| major >= OLDEST_SERVER) {
        return Ok(());
    }
    Err(StoreError::ServerTooOld { address: settings.address(), found: version.to_owned() })
}

/// Tells apart what a person mends in different places.
fn connect_error(settings: &DatabaseSettings, error: &tokio_postgres::Error) -> StoreError {
    let (address, reason) = (settings.address(), reason(error));
    // The kind of a client-side error shows in nothing but its words; a test holds them in place.
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

/// A handshake that ended because the server went away, as in a restart: no fault of the certificate.
fn is_broken_off(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    let here = error.downcast_ref::<std::io::Error>().is_some_and(|e| {
        [BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof].contains(&e.kind())
    });
    here || error.source().is_some_and(is_broken_off)
}
