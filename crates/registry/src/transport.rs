use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Body, Client, Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use url::Url;

use crate::error::innermost;
use crate::{Login, RegistryError, RegistrySettings};

/// Longest part of an answer that goes into an error, in characters.
const MAX_MESSAGE: usize = 300;
/// The hash of nothing.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Sends single calls: address, login, timeout, errors. Knows nothing of retries.
#[derive(Debug)]
pub(crate) struct Transport {
    http: Client,
    pub(crate) settings: RegistrySettings,
}

/// What a call says beside its path.
pub(crate) enum Payload<'a> {
    /// In the query.
    Query(&'a [(&'a str, &'a str)]),
    /// As JSON in the body.
    Json(Value),
    /// A file as the body.
    File(&'a Path),
    /// Nothing: the answer is a file.
    Download,
}

/// How MLflow words an error.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    error_code: String,
    message: String,
}

impl Transport {
    pub(crate) fn new(settings: RegistrySettings) -> Result<Self, RegistryError> {
        // Somebody else may have installed it before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A login page behind a redirect is no answer.
        let mut http = Client::builder().redirect(Policy::none()).connect_timeout(settings.timeout);
        if settings.is_local() {
            http = http.no_proxy();
        }
        let http = http
            .build()
            .map_err(|e| RegistryError::Settings(format!("no HTTP client: {}", innermost(&e))))?;
        Ok(Self { http, settings })
    }

    /// Calls `mlflow/PATH` and reads the JSON answer.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        payload: Payload<'_>,
    ) -> Result<T, RegistryError> {
        let call = format!("{method} {path}");
        let response = self.send(&call, method, &format!("api/2.0/mlflow/{path}"), payload).await?;
        let body = response.bytes().await.map_err(|e| failed(&call, self.settings.timeout, e))?;
        serde_json::from_slice(&body).map_err(|e| RegistryError::Malformed {
            call,
            problem: format!("something else than expected (line {}, column {})", e.line(), e.column()),
        })
    }

    /// Calls any path of the server, and gives the answer once it is known to be good.
    pub(crate) async fn send(
        &self,
        call: &str,
        method: Method,
        path: &str,
        payload: Payload<'_>,
    ) -> Result<Response, RegistryError> {
        let mut url = below(&self.settings.endpoint, path);
        if let Payload::Query(query) = payload {
            set_query(&mut url, query);
        }
        let (mut request, sha256) = self.request(method, url, payload).await?;
        self.log_in(&mut request, &sha256).await?;
        self.execute(call, request).await
    }

    /// Puts a file to an address that carries its own permission.
    pub(crate) async fn put_signed(
        &self,
        call: &str,
        url: Url,
        headers: &[(String, String)],
        file: &Path,
    ) -> Result<(), RegistryError> {
        let (mut request, _) = self.request(Method::PUT, url, Payload::File(file)).await?;
        for (name, value) in headers {
            let pair = (name.parse::<reqwest::header::HeaderName>().ok(), value.parse().ok());
            if let (Some(name), Some(value)) = pair {
                request.headers_mut().insert(name, value);
            }
        }
        self.execute(call, request).await.map(|_answer| ())
    }

    async fn execute(&self, call: &str, request: Request) -> Result<Response, RegistryError> {
        let timeout = request.timeout().copied().unwrap_or(self.settings.timeout);
        let response = self.http.execute(request).await.map_err(|e| failed(call, timeout, e))?;
        checked(call, response).await
    }

    /// The request without login, and the hash of its body where that is signed.
    async fn request(
        &self,
        method: Method,
        url: Url,
        payload: Payload<'_>,
    ) -> Result<(Request, String), RegistryError> {
        let mut request = Request::new(method, url);
        *request.timeout_mut() = Some(self.settings.timeout);
        let sha256 = match payload {
            Payload::Query(_) => EMPTY_SHA256.to_owned(),
            Payload::Download => {
                *request.timeout_mut() = Some(self.settings.file_timeout);
                EMPTY_SHA256.to_owned()
            }
            Payload::Json(value) => {
                let body = value.to_string();
                let sha256 = hex::encode(Sha256::digest(&body));
                request.headers_mut().insert(CONTENT_TYPE, mime("application/json"));
                *request.body_mut() = Some(body.into());
                sha256
            }
            Payload::File(path) => {
                let signed = matches!(self.settings.login, Login::Aws(_));
                let sha256 = if signed { hash(path).await? } else { String::new() };
                let file = tokio::fs::File::open(path).await.map_err(RegistryError::file("read", path))?;
                let bytes = file.metadata().await.map_err(RegistryError::file("read", path))?.len();
                request.headers_mut().insert(CONTENT_TYPE, mime("application/octet-stream"));
                // S3 takes no body of unknown length.
                request.headers_mut().insert(CONTENT_LENGTH, bytes.into());
                *request.body_mut() = Some(Body::from(file));
                *request.timeout_mut() = Some(self.settings.file_timeout);
                sha256
            }
        };
        Ok((request, sha256))
    }

    async fn log_in(&self, request: &mut Request, sha256: &str) -> Result<(), RegistryError> {
        let header = match (&self.settings.login, &self.settings.sagemaker) {
            (Login::Aws(provider), Some(server)) => return server.sign(request, sha256, provider).await,
            (Login::Basic { username, password }, _) => {
                self.http.get(request.url().clone()).basic_auth(username, Some(password.reveal()))
            }
            (Login::Bearer { token }, _) => self.http.get(request.url().clone()).bearer_auth(token.reveal()),
            (Login::None | Login::Aws(_), _) => return Ok(()),
        };
        let unusable = |_| RegistryError::Settings("the login holds characters that no header can".into());
        let header = header.build().map_err(unusable)?;
        request.headers_mut().extend(header.headers().clone());
        Ok(())
    }
}

/// Sorts what goes wrong between here and MLflow.
pub(crate) fn failed(call: &str, timeout: Duration, error: reqwest::Error) -> RegistryError {
    let call = call.to_owned();
    if error.is_timeout() {
        RegistryError::Timeout { call, timeout }
    } else {
        RegistryError::Connection { call, source: error.without_url() }
    }
}

async fn checked(call: &str, response: Response) -> Result<Response, RegistryError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let call = call.to_owned();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(RegistryError::Login { call, status: status.as_u16() });
    }
    // An answer that breaks off says less, and the status is known.
    let body = response.bytes().await.unwrap_or_default();
    let refusal: Refusal = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Refusal { message: "no reason given".to_owned(), ..Refusal::default() });
    Err(RegistryError::Refused {
        call,
        status: status.as_u16(),
        code: one_line(&refusal.error_code),
        message: one_line(&refusal.message),
    })
}

/// Text from elsewhere must not steer a terminal or fill a log.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect()
}

fn mime(text: &'static str) -> reqwest::header::HeaderValue {
    reqwest::header::HeaderValue::from_static(text)
}

/// The address of `path` on a server, which may itself lie below a path.
fn below(server: &Url, path: &str) -> Url {
    let mut url = server.clone();
    url.set_path(&format!("{}/{path}", server.path().trim_end_matches('/')));
    url
}

/// Spaces as %20: signatures are made over that form, and every server reads it.
fn set_query(url: &mut Url, query: &[(&str, &str)]) {
    if query.is_empty() {
        return;
    }
    url.query_pairs_mut().clear().extend_pairs(query);
    let spaced = url.query().map(|query| query.replace('+', "%20"));
    url.set_query(spaced.as_deref());
}

async fn hash(path: &Path) -> Result<String, RegistryError> {
    let mut file = tokio::fs::File::open(path).await.map_err(RegistryError::file("read", path))?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 256 * 1024]);
    loop {
        let read = file.read(&mut buffer).await.map_err(RegistryError::file("read", path))?;
        if read == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}
