//! Calls to a cloud that answers on one address: plain HTTP, the way AWS defines it, without signatures.

use anyhow::{Context, Result};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// Region of the local cloud.
pub const REGION: &str = "us-east-1";

/// Address of a cloud, such as `http://127.0.0.1:4566`.
#[derive(Debug, Clone)]
pub struct Endpoint {
    url: String,
    client: Client,
}

/// An answer other than success.
#[derive(Debug, thiserror::Error)]
#[error("{action} was refused ({status}): {code}: {message}")]
pub struct Refusal {
    action: String,
    status: StatusCode,
    /// What AWS calls the error, such as `ResourceNotFoundException`.
    pub code: String,
    message: String,
}

/// Which protocol version a service speaks; it is part of the content type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Json {
    V1_0,
    V1_1,
}

impl Endpoint {
    /// A cloud at this address.
    pub fn new(url: impl Into<String>) -> Result<Self> {
        // Fails only when a provider is there already, which will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().context("set up HTTP")?;
        Ok(Self { url: url.into(), client })
    }

    /// The address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls `action`, such as `AmazonSQS.SendMessage`.
    pub(crate) async fn call(&self, action: &str, version: Json, input: Value) -> Result<Value> {
        let content_type = match version {
            Json::V1_0 => "application/x-amz-json-1.0",
            Json::V1_1 => "application/x-amz-json-1.1",
        };
        let request = self.client.post(&self.url).header("X-Amz-Target", action);
        let request = request.header("Content-Type", content_type).body(input.to_string());
        let answer =
            request.send().await.with_context(|| format!("{action}: no answer from {}", self.url))?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_else(|_| json!({}));
        if status.is_success() {
            return Ok(body);
        }
        let text = |names: [&str; 2]| {
            names.iter().find_map(|name| body[name].as_str()).unwrap_or("no reason given").to_owned()
        };
        let (code, message) = (text(["__type", "code"]), text(["message", "Message"]));
        // Some services put a namespace before the name.
        let code = code.rsplit('#').next().unwrap_or_default().to_owned();
        Err(Refusal { action: action.to_owned(), status, code, message }.into())
    }

    /// Writes an S3 object, `bucket/key`.
    pub async fn put_object(&self, object: &str, content: &'static str) -> Result<()> {
        let request = self.client.put(format!("{}/{object}", self.url)).body(content);
        request.send().await.and_then(reqwest::Response::error_for_status)?;
        Ok(())
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        self.client.delete(format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }
}
