use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use modloop_environment::{EnvironmentError, optional, parsed, required};
use serde::Deserialize;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use url::Url;

/// User name and password, in the form of the secret in Secrets Manager.
#[derive(Clone, Deserialize)]
pub struct Credentials {
    /// Postgres role.
    pub username: String,
    /// Never shown, not even by `{:?}`.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Where the database is and how to get in. `Debug` hides the password.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    config: Config,
    statement_timeout: Option<Duration>,
}

/// Why there are no usable [`DatabaseSettings`]. Trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A variable is missing or unusable.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The URL cannot be read.
    #[error("the database URL cannot be used: {0}; expected postgres://user:password@host:port/database")]
    Url(String),
    /// TLS was to be switched off towards another machine.
    #[error(
        "TLS may be disabled only for a database on this machine, and {host} is not: passwords and texts would cross the network in the clear; use verify-full"
    )]
    TlsDisabled {
        /// The host that is elsewhere.
        host: String,
    },
    /// An unknown TLS mode.
    #[error("{0:?} is not a TLS mode: expected verify-full, or disable for a database on this machine")]
    TlsMode(String),
}

/// A Lambda must hear of a dead host while there is time to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const UNACKNOWLEDGED: Duration = Duration::from_secs(15);

impl DatabaseSettings {
    /// Reads DATABASE_HOST, DATABASE_PORT (5432), DATABASE_NAME and DATABASE_TLS (`verify-full`).
    pub fn from_environment(credentials: Credentials) -> Result<Self, SettingsError> {
        let mut config = Config::new();
        config
            .host(required("DATABASE_HOST", "set it to the host name of the Postgres server")?)
            .port(parsed("DATABASE_PORT", Some(5432_u16), "a port from 1 to 65535")?)
            .dbname(required("DATABASE_NAME", "set it to the name of the database")?)
            .user(credentials.username)
            .password(credentials.password);
        Self::new(config, optional("DATABASE_TLS")?.as_deref().unwrap_or("verify-full"))
    }

    /// Reads `postgres://user:password@host:port/database`; `?sslmode=` may be `verify-full` or `disable`.
    /// Without it a database on this machine is reached in the clear, any other with verified TLS.
    pub fn from_url(url: &str) -> Result<Self, SettingsError> {
        // Neither parser repeats the URL in its errors, so the password stays out of them.
        let mut url = Url::parse(url).map_err(|e| SettingsError::Url(e.to_string()))?;
        let options: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        url.set_query(None);
        for (name, value) in options.iter().filter(|(name, _)| name != "sslmode") {
            url.query_pairs_mut().append_pair(name, value);
        }
        let config: Config =
            url.as_str().parse().map_err(|e| SettingsError::Url(crate::error::reason(&e)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(SettingsError::Url("it names no host".to_owned()));
        }
        let mode = options.iter().find(|(name, _)| name == "sslmode").map(|(_, mode)| mode.as_str());
        let mode = match mode {
            Some("prefer" | "allow") | None if remote_host(&config).is_none() => "disable",
            Some("prefer" | "allow" | "require" | "verify-ca") | None => "verify-full",
            Some(mode) => mode,
        };
        Self::new(config, mode)
    }

    fn new(mut config: Config, tls: &str) -> Result<Self, SettingsError> {
        match (tls, remote_host(&config)) {
            ("verify-full", _) => config.ssl_mode(SslMode::Require),
            ("disable", None) => config.ssl_mode(SslMode::Disable),
            ("disable", Some(host)) => return Err(SettingsError::TlsDisabled { host }),
            (mode, _) => return Err(SettingsError::TlsMode(mode.to_owned())),
        };
        config
            .application_name("modloop")
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(Duration::from_secs(30))
            .tcp_user_timeout(UNACKNOWLEDGED);
        Ok(Self { config, statement_timeout: None })
    }

    /// After which time Postgres ends a statement of this connection. Without it the role's limit holds.
    #[must_use]
    pub fn with_statement_timeout(mut self, limit: Duration) -> Self {
        self.statement_timeout = Some(limit);
        self
    }

    /// The same server and user, another database.
    #[cfg(feature = "testing")]
    pub(crate) fn with_database(mut self, name: &str) -> Self {
        self.config.dbname(name);
        self
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn statement_timeout(&self) -> Option<Duration> {
        self.statement_timeout
    }

    /// Host and port, for messages.
    pub fn address(&self) -> String {
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => format!("{host}:{port}"),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => self.config.get_hostaddrs().first().map(|a| format!("{a}:{port}")).unwrap_or_default(),
        }
    }

    /// The database's name; Postgres takes the user's where none is given.
    pub fn database(&self) -> &str {
        self.config.get_dbname().or(self.config.get_user()).unwrap_or_default()
    }

    pub(crate) fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }
}

/// The first host that is not this machine.
fn remote_host(config: &Config) -> Option<String> {
    let by_name = config.get_hosts().iter().find_map(|host| match host {
        Host::Tcp(name) if name != "localhost" && !name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()) => {
            Some(name.clone())
        }
        _ => None,
    });
    by_name.or_else(|| config.get_hostaddrs().iter().find(|ip| !ip.is_loopback()).map(IpAddr::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        DatabaseSettings::from_url(url).expect(url).config.get_ssl_mode()
    }

    #[test]
    fn other_machines_are_reached_with_tls_only() {
        assert_eq!(mode("postgres://u:p@db.example.com/modloop"), SslMode::Require);
        assert_eq!(mode("postgres://u:p@db.example.com/modloop?sslmode=prefer"), SslMode::Require);
        assert_eq!(mode("postgres://u:p@127.0.0.1:5433/modloop"), SslMode::Disable);
        assert_eq!(mode("postgres://u:p@localhost/modloop?sslmode=verify-full"), SslMode::Require);
        assert_eq!(mode("postgres://u@%2Fvar%2Frun/modloop"), SslMode::Disable);
        let refused = DatabaseSettings::from_url("postgres://u:p@db.example.com/m?sslmode=disable")
            .expect_err("in the clear")
            .to_string();
        assert!(refused.contains("db.example.com is not") && refused.contains("verify-full"), "{refused}");
    }

    #[test]
    fn an_unusable_url_is_refused_without_its_password() {
        for bad in [
            "nonsense",
            "postgres://u:sesame@h:notaport/db",
            "postgres://u:sesame@h/db?sslmode=maybe",
            "postgres:///db",
        ] {
            let error = DatabaseSettings::from_url(bad).expect_err(bad).to_string();
            assert!(error.contains("expected") && !error.contains("sesame"), "{error}");
        }
    }

    #[test]
    fn debug_output_hides_the_password() {
        let credentials = Credentials { username: "modloop".into(), password: "sesame".into() };
        let settings = DatabaseSettings::from_url("postgres://u:sesame@h/db").expect("a URL");
        assert!(!format!("{credentials:?} {settings:?}").contains("sesame"));
        assert_eq!((settings.address(), settings.database()), ("h:5432".to_owned(), "db"));
    }
}
