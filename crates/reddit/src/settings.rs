use std::fmt;
use std::time::Duration;

use modloop_environment::is_loopback;
use serde::Deserialize;
use url::Url;

use crate::{RedditError, Retries};

/// What Reddit knows this application by. Debug output hides the secret.
#[derive(Clone, Deserialize)]
pub struct RedditCredentials {
    /// The application's id.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: String,
}

impl fmt::Debug for RedditCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedditCredentials").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// Where Reddit is and how to treat it.
#[derive(Debug, Clone)]
pub struct RedditSettings {
    /// Where listings are read.
    pub(crate) api_url: Url,
    /// Where tokens are given out.
    pub(crate) auth_url: Url,
    pub(crate) user_agent: String,
    /// How long one request may take.
    pub(crate) timeout: Duration,
    pub(crate) retries: Retries,
}

impl RedditSettings {
    /// How long one request may take, unless told otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

    /// Listings are read at `api_url`, tokens are given out at `auth_url`. As user agent Reddit wants
    /// `platform:app:version (by /u/name)`, and it blocks made-up browsers.
    ///
    /// # Errors
    /// Refuses addresses over which the secret would travel in the clear, and an empty user agent.
    pub fn new(api_url: Url, auth_url: Url, user_agent: &str) -> Result<Self, RedditError> {
        for url in [&api_url, &auth_url] {
            if url.scheme() != "https" && !is_loopback(url) {
                return Err(RedditError::Settings(format!(
                    "{url} is no https address; only a stand-in on this machine may do without"
                )));
            }
        }
        let user_agent = user_agent.trim().to_owned();
        if user_agent.is_empty() {
            return Err(RedditError::Settings(
                "the user agent is empty; set REDDIT_USER_AGENT to platform:app:version (by /u/name)".into(),
            ));
        }
        let (timeout, retries) = (Self::DEFAULT_TIMEOUT, Retries::default());
        Ok(Self { api_url, auth_url, user_agent, timeout, retries })
    }

    /// How long one request may take.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How often and how slowly failed requests are tried again.
    #[must_use]
    pub fn with_retries(self, retries: Retries) -> Self {
        Self { retries, ..self }
    }

    /// Whether Reddit is a stand-in on this machine, which no proxy can reach.
    pub(crate) fn is_local(&self) -> bool {
        is_loopback(&self.api_url) && is_loopback(&self.auth_url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, user_agent: &str) -> Result<RedditSettings, RedditError> {
        let url: Url = url.parse().expect("a url");
        RedditSettings::new(url.clone(), url, user_agent)
    }

    #[test]
    fn the_secret_is_neither_shown_nor_sent_in_the_clear() {
        let credentials = RedditCredentials { client_id: "id".into(), client_secret: "hush".into() };
        assert!(!format!("{credentials:?}").contains("hush"));
        assert!(settings("https://oauth.reddit.com", "linux:modloop:0.1").is_ok());
        assert!(settings("http://127.0.0.1:9", "linux:modloop:0.1").is_ok());
        let error = settings("http://oauth.reddit.com", "linux:modloop:0.1").expect_err("in the clear");
        assert!(error.to_string().contains("https"), "{error}");
    }

    #[test]
    fn an_empty_user_agent_is_named() {
        let error = settings("https://oauth.reddit.com", " ").expect_err("no user agent");
        assert!(error.to_string().contains("REDDIT_USER_AGENT"), "{error}");
    }
}
