use anyhow::{Context, Result, bail};
use modloop_local::postgres::Postgres;
use tokio::sync::Mutex;
use url::Url;

/// The Postgres that the stack uses: one that we started, or the one that `DATABASE_URL` names.
pub(crate) struct DatabaseServer {
    url: Url,
    ours: Option<Mutex<Postgres>>,
}

impl DatabaseServer {
    /// A server that we started and may restart.
    pub(crate) fn ours(postgres: Postgres) -> Result<Self> {
        let url = Url::parse(&postgres.url()).context("the server's own address")?;
        Ok(Self { url, ours: Some(Mutex::new(postgres)) })
    }

    /// Checks that the URL has all that the functions need.
    pub(crate) fn yours(url: &str) -> Result<Self> {
        // The URL holds a password, so it is not repeated.
        let url =
            Url::parse(url).ok().filter(|u| u.has_host() && u.path().len() > 1 && !u.username().is_empty());
        let url =
            url.context("DATABASE_URL cannot be used: expected postgres://user:password@host:port/database")?;
        Ok(Self { url, ours: None })
    }

    /// Stops the server and starts it again; every connection is cut.
    pub(crate) async fn restart(&self) -> Result<()> {
        match &self.ours {
            Some(postgres) => postgres.lock().await.restart().await.context("restarting Postgres"),
            None => bail!("only a Postgres that was started here is restarted"),
        }
    }

    /// Whether a server that we started has stopped by itself.
    pub(crate) fn ended(&mut self) -> Result<bool> {
        match &mut self.ours {
            Some(postgres) => Ok(postgres.get_mut().ended()?.is_some()),
            None => Ok(false),
        }
    }

    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.port().unwrap_or(5432)
    }

    pub(crate) fn name(&self) -> String {
        plain(self.url.path().trim_start_matches('/'))
    }

    pub(crate) fn username(&self) -> String {
        plain(self.url.username())
    }

    pub(crate) fn password(&self) -> String {
        plain(self.url.password().unwrap_or_default())
    }

    /// TLS is left out only where nothing leaves this machine.
    pub(crate) fn tls(&self) -> &'static str {
        match self.host() {
            "localhost" | "127.0.0.1" | "[::1]" => "disable",
            _ => "verify-full",
        }
    }
}

/// Takes back what a URL escapes.
fn plain(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_is_reached_with_verified_tls() {
        let remote = DatabaseServer::yours("postgres://me:p%40ss@db.example.org/modloop").expect("complete");
        assert_eq!((remote.tls(), remote.name(), remote.port()), ("verify-full", "modloop".to_owned(), 5432));
        assert_eq!(remote.password(), "p@ss");
        let here = DatabaseServer::yours("postgres://me:sesame@127.0.0.1:5433/modloop").expect("complete");
        assert_eq!(here.tls(), "disable");
    }

    #[test]
    fn an_unusable_url_is_not_repeated() {
        for bad in ["sesame", "postgres://host/", "postgres://me:sesame@host"] {
            let error = DatabaseServer::yours(bad).err().expect("unusable").to_string();
            assert!(error.contains("DATABASE_URL") && !error.contains("sesame"), "{error}");
        }
    }
}
