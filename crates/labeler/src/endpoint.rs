use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response, redirect::Policy};
use url::Url;

use crate::completion::{Attempt, Charge, HttpAnswer};
use crate::{ApiKey, LabelerError, LabelerSettings, NoLabel};

/// An answer is never longer.
const MAX_ANSWER: usize = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests, one try each.
pub(crate) struct Endpoint {
    http: Client,
    url: Url,
    authorization: HeaderValue,
    timeout: Duration,
}

impl Endpoint {
    pub(crate) fn new(settings: &LabelerSettings, key: &ApiKey) -> Result<Self, LabelerError> {
        // Somebody else may have installed it before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect could lead the key elsewhere.
            .redirect(Policy::none());
        if settings.is_local() {
            http = http.no_proxy();
        }
        let http =
            http.build().map_err(|e| LabelerError::Settings(format!("no HTTP client: {}", innermost(&e))))?;
        Ok(Self {
            http,
            url: settings.completions(),
            authorization: key.header()?,
            timeout: settings.timeout,
        })
    }

    /// What came back, or the attempt's end when nothing did.
    pub(crate) async fn send(&self, body: Vec<u8>) -> Result<HttpAnswer, Attempt> {
        let sending = self
            .http
            .post(self.url.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        let response = sending.send().await.map_err(|error| self.lost(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.read(response).await?;
        Ok(HttpAnswer { status, headers, body })
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Attempt> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                let why = NoLabel::OutOfSchema("longer than any answer can be".into());
                return Err(Attempt::failed(why, Charge::Unknown));
            }
        }
        Ok(body)
    }

    /// Without a connection nothing was asked; later the answer may be made and billed already.
    fn lost(&self, error: &reqwest::Error) -> Attempt {
        if error.is_connect() {
            Attempt::failed(NoLabel::Unavailable(innermost(error)), Charge::Nothing)
        } else if error.is_timeout() {
            Attempt::failed(NoLabel::Timeout(self.timeout), Charge::Unknown)
        } else {
            Attempt::failed(NoLabel::Unavailable(innermost(error)), Charge::Unknown)
        }
    }
}

/// The cause at the bottom, which says more than "error sending request" and holds no address.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
