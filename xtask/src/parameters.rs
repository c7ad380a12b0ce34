//! Template parameters that are particular to this machine; infra/README.md explains each.

use anyhow::{Context, Result};
use modloop_local::cloud::Cloud;
use modloop_local::reddit::{CLIENT_ID, CLIENT_SECRET};
use modloop_local::secrets::put_secret;
use serde_json::{Value, json};

use crate::database::DatabaseServer;
use crate::registry::RegistryServer;
use crate::stack::{Clock, RedditSource};

/// What the parameters are about.
pub(crate) struct Parts<'a> {
    pub cloud: &'a Cloud,
    pub database: &'a DatabaseServer,
    pub reddit: &'a RedditSource,
    pub registry: &'a RegistryServer,
}

impl Parts<'_> {
    /// All but those of labeling and of training jobs.
    pub(crate) async fn parameters(&self, clock: Clock) -> Result<Vec<(&'static str, String)>> {
        let mut parameters = self.of_every_stack(clock).await?;
        parameters.extend(self.registry.parameters(self.cloud).await?);
        match self.reddit {
            RedditSource::StandIn(stand_in) => {
                let url = stand_in.url().to_string();
                parameters.extend([("RedditApiUrl", url.clone()), ("RedditAuthUrl", url)]);
                parameters.push(("RedditUserAgent", "linux:modloop:0.1 (stand-in)".to_owned()));
                parameters.push(("MonitorSchedule", "rate(1 minute)".to_owned()));
            }
            RedditSource::Real(app) => parameters.push(("RedditUserAgent", app.user_agent.clone())),
        }
        Ok(parameters)
    }

    async fn of_every_stack(&self, clock: Clock) -> Result<Vec<(&'static str, String)>> {
        let Self { database, reddit, .. } = self;
        let login = json!({"username": database.username(), "password": database.password()});
        let app = match reddit {
            RedditSource::StandIn(_) => json!({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}),
            RedditSource::Real(app) => {
                json!({"client_id": app.client_id, "client_secret": app.client_secret})
            }
        };
        Ok(vec![
            ("DatabaseHost", database.host().to_owned()),
            ("DatabasePort", database.port().to_string()),
            ("DatabaseName", database.name()),
            ("DatabaseTls", database.tls().to_owned()),
            ("DatabaseSecretArn", self.secret("modloop/database", login).await?),
            ("RedditSecretArn", self.secret("modloop/reddit", app).await?),
            ("Schedules", if clock == Clock::Runs { "ENABLED" } else { "DISABLED" }.to_owned()),
            ("FetchSchedule", "rate(1 minute)".to_owned()),
            ("RetrainSchedule", "rate(1 minute)".to_owned()),
            // Short, so that a killed run's messages come back while somebody is watching.
            ("BatchWindow", "1".to_owned()),
            ("InferenceTimeout", "15".to_owned()),
            ("ScoreVisibilityTimeout", "20".to_owned()),
            ("ReserveConcurrency", "false".to_owned()),
        ])
    }

    async fn secret(&self, name: &str, value: Value) -> Result<String> {
        let stored = put_secret(self.cloud.endpoint(), name, &value).await;
        stored.with_context(|| format!("cannot store secret {name}"))
    }
}
