use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use modloop_reddit::SubredditName;
use modloop_registry::{Login, RegistrySettings, Secret};

use crate::registry::OwnRegistry;

/// What a person may set, in the environment or in `.env`; the environment wins.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Credentials for the real Reddit; without them the stand-in serves.
    pub reddit: Option<RedditApp>,
    /// A Postgres of the person's own.
    pub database_url: Option<String>,
    /// An MLflow of the person's own.
    pub registry: Option<OwnRegistry>,
    /// An LLM of the person's own.
    pub labeler: Option<OwnLabeler>,
    /// The person states that texts of the real Reddit may be trained on.
    pub training_permission: bool,
}

/// An OpenAI-compatible endpoint that labels.
pub(crate) struct OwnLabeler {
    pub url: String,
    pub model: String,
    pub key: String,
    /// Dollars for a million tokens in and out.
    pub prices: (f64, f64),
}

impl std::fmt::Debug for OwnLabeler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnLabeler")
            .field("url", &self.url)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// An application registered with Reddit.
pub(crate) struct RedditApp {
    pub client_id: String,
    pub client_secret: String,
    pub user_agent: String,
    pub subreddits: Vec<SubredditName>,
}

impl std::fmt::Debug for RedditApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedditApp").field("subreddits", &self.subreddits).finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads `.env` in the repository without exporting it: programs that are started must not inherit secrets.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let file = root.join(".env");
        let mut values = HashMap::new();
        if file.is_file() {
            for pair in
                dotenvy::from_path_iter(&file).with_context(|| format!("cannot read {}", file.display()))?
            {
                // The error of the library quotes the line, which may hold a secret.
                let (name, value) = pair
                    .map_err(|_| anyhow::anyhow!("{} has a line that is not NAME=value", file.display()))?;
                values.insert(name, value);
            }
        }
        Self::from_values(|name| {
            let own = modloop_environment::optional(name)?;
            Ok(own.or_else(|| values.get(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())))
        })
    }

    fn from_values(value: impl Fn(&str) -> Result<Option<String>>) -> Result<Self> {
        Ok(Self {
            reddit: RedditApp::from_values(&value)?,
            database_url: value("DATABASE_URL")?,
            registry: own_registry(&value)?,
            labeler: OwnLabeler::from_values(&value)?,
            training_permission: match value("TRAINING_PERMISSION")?.as_deref() {
                None | Some("off") => false,
                Some("on") => true,
                Some(_) => bail!("TRAINING_PERMISSION is neither on nor off"),
            },
        })
    }
}

/// The names are those that MLflow's own client reads.
fn own_registry(value: &impl Fn(&str) -> Result<Option<String>>) -> Result<Option<OwnRegistry>> {
    let Some(tracking_uri) = value("MLFLOW_TRACKING_URI")? else { return Ok(None) };
    let login = match (
        value("MLFLOW_TRACKING_TOKEN")?,
        value("MLFLOW_TRACKING_USERNAME")?,
        value("MLFLOW_TRACKING_PASSWORD")?,
    ) {
        (Some(token), _, _) => Login::Bearer { token: Secret::new(token) },
        (None, Some(username), Some(password)) => Login::Basic { username, password: Secret::new(password) },
        (None, None, None) => Login::None,
        (None, _, _) => {
            bail!("set both MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or none of them")
        }
    };
    // Checked now, since MLflow is not waited for later.
    RegistrySettings::new(&tracking_uri, login.clone())?;
    Ok(Some(OwnRegistry { tracking_uri, login }))
}

impl OwnLabeler {
    fn from_values(value: &impl Fn(&str) -> Result<Option<String>>) -> Result<Option<Self>> {
        let Some(url) = value("LABELER_URL")? else { return Ok(None) };
        let needed =
            |name: &str| value(name)?.with_context(|| format!("LABELER_URL is set but {name} is not"));
        let dollars = |name: &str| -> Result<f64> {
            needed(name)?
                .parse()
                .with_context(|| format!("{name} is no number of dollars for a million tokens"))
        };
        Ok(Some(Self {
            model: needed("LABELER_MODEL")?,
            key: needed("LABELER_API_KEY")?,
            prices: (dollars("LABELER_INPUT_PRICE")?, dollars("LABELER_OUTPUT_PRICE")?),
            url,
        }))
    }
}

impl RedditApp {
    fn from_values(value: &impl Fn(&str) -> Result<Option<String>>) -> Result<Option<Self>> {
        let (client_id, client_secret) = match (value("REDDIT_CLIENT_ID")?, value("REDDIT_CLIENT_SECRET")?) {
            (Some(id), Some(secret)) => (id, secret),
            (None, None) => return Ok(None),
            (Some(_), None) => {
                bail!("REDDIT_CLIENT_ID is set but REDDIT_CLIENT_SECRET is not; set both or none")
            }
            (None, Some(_)) => {
                bail!("REDDIT_CLIENT_SECRET is set but REDDIT_CLIENT_ID is not; set both or none")
            }
        };
        let needed = |name: &str, example: &str| {
            value(name)?.with_context(|| {
                format!("{name} is not set; to read the real Reddit set it, for example to {example}")
            })
        };
        let names = needed("MODLOOP_SUBREDDITS", "rust,askhistorians")?;
        let subreddits = names.split(',').map(|name| Ok(name.trim().parse()?)).collect::<Result<_>>();
        Ok(Some(Self {
            client_id,
            client_secret,
            user_agent: needed("REDDIT_USER_AGENT", "\"linux:modloop:0.1 (by /u/your_name)\"")?,
            subreddits: subreddits.context("MODLOOP_SUBREDDITS cannot be used")?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<Settings> {
        Settings::from_values(|name| {
            Ok(values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn without_credentials_the_stand_in_serves() {
        assert!(read(&[]).expect("fine").reddit.is_none());
    }

    #[test]
    fn half_of_the_credentials_is_an_error_that_names_the_other_half() {
        let error = read(&[("REDDIT_CLIENT_ID", "id")]).expect_err("half").to_string();
        assert!(error.contains("REDDIT_CLIENT_SECRET is not"), "{error}");
    }

    #[test]
    fn an_mlflow_of_ones_own_is_checked_before_anything_starts() {
        assert!(read(&[]).expect("fine").registry.is_none());
        let own =
            read(&[("MLFLOW_TRACKING_URI", "https://mlflow.example"), ("MLFLOW_TRACKING_TOKEN", "sesame")]);
        assert!(!format!("{:?}", own.expect("complete").registry).contains("sesame"));
        let half = [("MLFLOW_TRACKING_URI", "https://mlflow.example"), ("MLFLOW_TRACKING_USERNAME", "me")];
        assert!(read(&half).expect_err("half").to_string().contains("MLFLOW_TRACKING_PASSWORD"));
        assert!(read(&[("MLFLOW_TRACKING_URI", "mlruns")]).is_err());
    }

    #[test]
    fn a_labeler_of_ones_own_needs_a_key_and_prices() {
        let mut values = vec![("LABELER_URL", "https://llm.example/v1"), ("LABELER_MODEL", "small")];
        let error = read(&values).expect_err("no key").to_string();
        assert!(error.contains("LABELER_API_KEY is not"), "{error}");
        values.extend([("LABELER_API_KEY", "sesame"), ("LABELER_INPUT_PRICE", "0.1")]);
        values.push(("LABELER_OUTPUT_PRICE", "cheap"));
        let error = read(&values).expect_err("no price").to_string();
        assert!(error.contains("LABELER_OUTPUT_PRICE is no number"), "{error}");
        values.pop();
        values.push(("LABELER_OUTPUT_PRICE", "0.4"));
        assert!(!format!("{:?}", read(&values).expect("complete")).contains("sesame"));
    }

    #[test]
    fn the_secret_does_not_show() {
        let settings = read(&[
            ("REDDIT_CLIENT_ID", "id"),
            ("REDDIT_CLIENT_SECRET", "sesame"),
            ("REDDIT_USER_AGENT", "me"),
            ("MODLOOP_SUBREDDITS", "rust, AskHistorians"),
        ])
        .expect("complete");
        assert!(!format!("{settings:?}").contains("sesame"));
        assert_eq!(settings.reddit.map(|app| app.subreddits.len()), Some(2));
    }
}
