use std::sync::Arc;
use std::time::Duration;

use crate::SubredditName;
use reqwest::{Client, RequestBuilder, StatusCode, redirect::Policy};
use tokio::sync::Mutex;
use tokio::time::timeout_at;
use url::Url;

use crate::answer::Answer;
use crate::budget::RateBudget;
use crate::token::{Token, TokenProblem, parse_token};
use crate::{Deadline, RedditCredentials, RedditError, RedditSettings};

/// Sends requests: token, budget, timeout, retries.
pub(crate) struct Transport {
    http: Client,
    settings: RedditSettings,
    credentials: RedditCredentials,
    budget: RateBudget,
    token: Mutex<Option<Arc<Token>>>,
}

/// A request for something to read.
pub(crate) struct Request<'a> {
    /// Path without query, such as `/r/rust/new`.
    pub(crate) path: String,
    /// What follows the question mark.
    pub(crate) query: String,
    /// The subreddit that a refusal is about.
    pub(crate) subreddit: Option<&'a SubredditName>,
}

const TOKEN_REQUEST: &str = "POST /api/v1/access_token";

impl Transport {
    pub(crate) fn new(settings: RedditSettings, credentials: RedditCredentials) -> Result<Self, RedditError> {
        // Somebody else may have installed it before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = Client::builder()
            .user_agent(&settings.user_agent)
            .timeout(settings.timeout)
            .redirect(Policy::none());
        if settings.is_local() {
            http = http.no_proxy();
        }
        let http =
            http.build().map_err(|e| RedditError::Settings(format!("no HTTP client: {}", innermost(&e))))?;
        Ok(Self { http, settings, credentials, budget: RateBudget::default(), token: Mutex::default() })
    }

    /// Gets and reads an answer, trying again where that can help.
    pub(crate) async fn get<T>(
        &self,
        request: &Request<'_>,
        deadline: Deadline,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, RedditError> {
        let name = format!("GET {}", request.path);
        let retries = self.settings.retries;
        retries
            .run(deadline, || async {
                let answer = self.get_once(request, &name, deadline).await?;
                if answer.status != StatusCode::OK {
                    return Err(answer.error(&name, request.subreddit));
                }
                parse(&answer.body)
                    .map_err(|problem| RedditError::Malformed { request: name.clone(), problem })
            })
            .await
    }

    /// One try; a token that Reddit no longer takes is renewed once.
    async fn get_once(
        &self,
        request: &Request<'_>,
        name: &str,
        deadline: Deadline,
    ) -> Result<Answer, RedditError> {
        let mut url = below(&self.settings.api_url, &request.path);
        url.set_query(Some(&request.query));
        for _ in 0..2 {
            let token = self.token(deadline).await?;
            let sending = self.http.get(url.clone()).bearer_auth(token.secret());
            let answer = self.send(sending, name, deadline).await?;
            if answer.status != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            self.forget(&token).await;
        }
        Err(RedditError::Credentials("a fresh token was refused with status 401".into()))
    }

    /// The token at hand, or a new one. Others wait meanwhile, so that only one is asked for.
    async fn token(&self, deadline: Deadline) -> Result<Arc<Token>, RedditError> {
        let mut held = self.token.lock().await;
        if let Some(token) = held.as_ref().filter(|token| token.is_fresh()) {
            return Ok(Arc::clone(token));
        }
        let token = Arc::new(self.new_token(deadline).await?);
        *held = Some(Arc::clone(&token));
        Ok(token)
    }

    async fn new_token(&self, deadline: Deadline) -> Result<Token, RedditError> {
        let sending = self
            .http
            .post(below(&self.settings.auth_url, "/api/v1/access_token"))
            .basic_auth(&self.credentials.client_id, Some(&self.credentials.client_secret))
            .form(&[("grant_type", "client_credentials")]);
        let answer = self.send(sending, TOKEN_REQUEST, deadline).await?;
        match answer.status {
            StatusCode::OK => parse_token(&answer.body).map_err(|problem| match problem {
                TokenProblem::Refused(reason) => RedditError::Credentials(reason),
                TokenProblem::Malformed => {
                    RedditError::Malformed { request: TOKEN_REQUEST.into(), problem: "no token".into() }
                }
            }),
            StatusCode::UNAUTHORIZED => Err(RedditError::Credentials("status 401".into())),
            _ => Err(answer.error(TOKEN_REQUEST, None)),
        }
    }

    async fn forget(&self, refused: &Arc<Token>) {
        let mut held = self.token.lock().await;
        if held.as_ref().is_some_and(|token| Arc::ptr_eq(token, refused)) {
            *held = None;
        }
    }

    async fn send(
        &self,
        request: RequestBuilder,
        name: &str,
        deadline: Deadline,
    ) -> Result<Answer, RedditError> {
        if deadline.has_passed() {
            return Err(RedditError::Deadline(name.into()));
        }
        self.budget.spend(deadline).await?;
        let exchange = async {
            let response = request.send().await?;
            self.budget.learn(response.headers());
            let (status, headers) = (response.status(), response.headers().clone());
            // Bytes that are no UTF-8 become replacement characters instead of losing the page.
            let body = String::from_utf8_lossy(&response.bytes().await?).into_owned();
            Ok(Answer { status, headers, body })
        };
        timeout_at(deadline.instant(), exchange)
            .await
            .map_err(|_| RedditError::Deadline(name.into()))?
            .map_err(|error| failed(error, name, self.settings.timeout))
    }
}

fn failed(error: reqwest::Error, request: &str, timeout: Duration) -> RedditError {
    if error.is_timeout() {
        RedditError::Timeout { request: request.into(), timeout }
    } else {
        RedditError::Connection { request: request.into(), source: error.without_url() }
    }
}

/// The address of `path` on a host, whether or not the host was written with a slash at its end.
fn below(host: &Url, path: &str) -> Url {
    let mut url = host.clone();
    url.set_path(&format!("{}{path}", host.path().trim_end_matches('/')));
    url
}

/// The cause at the bottom, which says more than "error sending request".
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
