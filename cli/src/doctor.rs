//! `modloop doctor`: what is configured, what can be reached, and what to do about the rest.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use modloop_environment::optional;
use modloop_store::{Store, StoreError};
use serde::Serialize;
use url::{Host, Url};

use crate::database::DatabaseArgs;
use crate::shipped;

/// Check this installation: what is configured, reachable, of which version, and what is wrong.
///
/// The exit code is 1 when something is broken.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    database: DatabaseArgs,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// Works, and somebody should look.
    Warning,
    /// Does not work.
    Broken,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    /// What was found, and what to do about it.
    found: String,
}

#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    /// What computes the shipped model on this machine; absent where it cannot be loaded.
    backend: Option<String>,
    checks: Vec<Check>,
}

const REACHABLE_WITHIN: Duration = Duration::from_secs(2);

/// Fewer weeks with partitions than this, and somebody should look why the monitor makes none.
const MIN_WEEKS_AHEAD: u64 = 2;

/// Checks everything, also when the first things are broken.
pub async fn run(args: DoctorArgs) -> Result<ExitCode> {
    let mut report = Report { version: env!("CARGO_PKG_VERSION"), backend: None, checks: Vec::new() };
    report.model();
    match args.database.connect().await {
        Ok(store) => report.database(&store).await,
        Err(error) => report.add("database", State::Broken, format!("{error:#}")),
    }
    for (name, variable, needed) in [
        ("mlflow", "MLFLOW_TRACKING_URI", "models are not registered for people to look at"),
        ("labeler", "LABELER_URL", "only people label"),
        ("aws", "AWS_ENDPOINT_URL", "AWS itself is used"),
    ] {
        report.address(name, variable, needed).await;
    }
    let broken = report.checks.iter().any(|check| check.state == State::Broken);
    args.database.print(&report, || report.shown())?;
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Report {
    fn add(&mut self, name: &'static str, state: State, found: impl Into<String>) {
        self.checks.push(Check { name, state, found: found.into() });
    }

    /// The model that ships, and what computes it here.
    fn model(&mut self) {
        match shipped::classifier() {
            Ok(classifier) => {
                let backend = classifier.backend().to_string();
                self.add("model", State::Ok, format!("{} by {backend}", classifier.version()));
                self.backend = Some(backend);
            }
            Err(error) => self.add("model", State::Broken, format!("{error:#}")),
        }
    }

    async fn database(&mut self, store: &Store) {
        match store.server().await {
            Ok(server) => self.add("database", State::Ok, server),
            Err(error) => return self.add("database", State::Broken, error.to_string()),
        }
        if let Err(error) = self.stored(store).await {
            self.add("database", State::Broken, error.to_string());
        }
        self.settings(store).await;
    }

    async fn stored(&mut self, store: &Store) -> Result<(), StoreError> {
        let weeks = store.weeks_ahead().await?;
        let (state, advice) = match weeks < MIN_WEEKS_AHEAD {
            true => (State::Warning, "; run the monitor function, which makes them"),
            false => (State::Ok, ""),
        };
        self.add("partitions", state, format!("{weeks} weeks ahead{advice}"));
        let communities = store.communities().await?;
        let enabled = communities.iter().filter(|c| c.enabled).count();
        let failing: Vec<String> =
            communities.iter().filter(|c| c.last_error.is_some()).map(|c| c.community.to_string()).collect();
        match (enabled, failing.is_empty()) {
            (0, _) => self.add(
                "communities",
                State::Warning,
                "none is watched; add one with `modloop communities add r/NAME`",
            ),
            (_, false) => self.add(
                "communities",
                State::Warning,
                format!(
                    "{enabled} watched; cannot be read: {} (see `modloop communities list`)",
                    failing.join(", ")
                ),
            ),
            (_, true) => self.add("communities", State::Ok, format!("{enabled} watched")),
        }
        let status = store.status().await?;
        let stuck: u64 = status.communities.iter().map(|c| c.stuck).sum();
        match (store.oldest_unscored().await?, stuck) {
            (_, 1..) => self.add(
                "scoring",
                State::Warning,
                format!("{stuck} items are stuck; the reason is in the log of the inference function"),
            ),
            (Some(age), _) if age > Duration::from_secs(3600) => self.add(
                "scoring",
                State::Warning,
                format!(
                    "the oldest item waits for {} min; is the inference function running?",
                    age.as_secs() / 60
                ),
            ),
            _ => self.add("scoring", State::Ok, "nothing waits for long"),
        }
        match store.training_permission().await? {
            Some(permission) => {
                self.add(
                    "permission",
                    State::Ok,
                    format!("training is permitted by {}", permission.granted_by),
                );
            }
            None => self.add("permission", State::Ok, "none stated, so nothing is trained"),
        }
        Ok(())
    }

    /// Every document can be read by this release.
    async fn settings(&mut self, store: &Store) {
        let mut read = Vec::new();
        for document in modloop_settings::all() {
            read.push(store.check_settings(document.name).await);
        }
        let mut wrong = read.into_iter().filter_map(Result::err).peekable();
        if wrong.peek().is_none() {
            return self.add("settings", State::Ok, "all can be read");
        }
        for error in wrong {
            self.add("settings", State::Broken, error.to_string());
        }
    }

    /// Whether somebody listens at the address in a variable.
    async fn address(&mut self, name: &'static str, variable: &str, without: &str) {
        let address = match optional(variable) {
            Ok(Some(address)) => address,
            Ok(None) => return self.add(name, State::Ok, format!("{variable} is not set: {without}")),
            Err(error) => return self.add(name, State::Broken, error.to_string()),
        };
        let Some((host, port)) = host_and_port(&address) else {
            let found = format!("{variable} is not an address; set it to one such as https://example.org");
            return self.add(name, State::Broken, found);
        };
        let connecting = tokio::net::TcpStream::connect((host.as_str(), port));
        match tokio::time::timeout(REACHABLE_WITHIN, connecting).await {
            Ok(Ok(_connection)) => self.add(name, State::Ok, format!("{host}:{port} answers")),
            _ => self.add(
                name,
                State::Broken,
                format!("nobody answers at {host}:{port}; check {variable} and that the server runs"),
            ),
        }
    }

    fn shown(&self) -> String {
        let mut table = crate::table::table(&["check", "", "found"]);
        for check in &self.checks {
            let state = match check.state {
                State::Ok => "ok",
                State::Warning => "look",
                State::Broken => "BROKEN",
            };
            table.add_row([check.name, state, &crate::status::one_line(&check.found)]);
        }
        format!("modloop {}\n{table}", self.version)
    }
}

/// Without user information, path and query, which may hold secrets.
fn host_and_port(address: &str) -> Option<(String, u16)> {
    let url = Url::parse(address).ok()?;
    let host = match url.host()? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    Some((host, url.port_or_known_default().unwrap_or(80)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_everything_but_host_and_port() {
        let found = |address| host_and_port(address);
        assert_eq!(found("https://user:sesame@example.org/v1?key=x"), Some(("example.org".to_owned(), 443)));
        assert_eq!(found("http://127.0.0.1:5000/"), Some(("127.0.0.1".to_owned(), 5000)));
        for bad in ["", "example.org", "https://", "http://host:port"] {
            assert_eq!(found(bad), None, "{bad}");
        }
    }
}
