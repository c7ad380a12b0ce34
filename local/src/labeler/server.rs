//! The HTTP side: what is asked, and how the original would answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::Fault;
use super::model::{self, Message};
use super::schema;
use super::standin::Site;

/// The key that is accepted here.
pub const API_KEY: &str = "sk-only-for-the-stand-in";
/// The model that is known here.
pub const MODEL: &str = "stand-in";

type Answer = Response<Body>;

#[derive(Deserialize)]
struct Asked {
    model: String,
    messages: Vec<Message>,
    response_format: Option<Value>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
}

/// What the model wrote, and why it stopped.
struct Written {
    content: Value,
    refusal: Option<&'static str>,
    finish_reason: &'static str,
    prompt_tokens: u64,
    completion_tokens: u64,
}

pub(crate) fn router(site: Arc<Site>) -> Router {
    Router::new().route("/v1/chat/completions", post(completions)).with_state(site)
}

async fn completions(State(site): State<Arc<Site>>, headers: HeaderMap, body: Bytes) -> Answer {
    let under_way = site.counters.begin();
    tokio::time::sleep(site.think).await;
    if headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes)
        != Some(format!("Bearer {API_KEY}").as_bytes())
    {
        site.counters.wrong_key();
        return Refusal::new(StatusCode::UNAUTHORIZED, "invalid_api_key", "Incorrect API key provided.")
            .answer();
    }
    let asked = match check(&body) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.answer(),
    };
    let fault = site.fault(under_way.number);
    if let Some(fault) = fault {
        site.counters.fault(fault);
    }
    match fault {
        Some(fault @ (Fault::TooMany | Fault::NoCredit | Fault::Overloaded)) => turned_away(fault),
        _ => answer(&site, &asked, fault).await,
    }
}

fn check(body: &[u8]) -> Result<Asked, Refusal> {
    let invalid = |message: &str| Refusal::new(StatusCode::BAD_REQUEST, "invalid_request_error", message);
    let asked: Asked = serde_json::from_slice(body)
        .map_err(|_| invalid("We could not parse the JSON body of your request."))?;
    if asked.model != MODEL {
        let message = format!("The model `{}` does not exist or you do not have access to it.", asked.model);
        return Err(Refusal::new(StatusCode::NOT_FOUND, "model_not_found", &message));
    }
    if asked.max_tokens.is_some() && asked.max_completion_tokens.is_some() {
        return Err(invalid(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        ));
    }
    match asked.schema().and_then(schema::problem) {
        Some(problem) => Err(invalid(&format!("Invalid schema for response_format: {problem}."))),
        None => Ok(asked),
    }
}

impl Asked {
    fn schema(&self) -> Option<&Value> {
        let format = self.response_format.as_ref().filter(|format| format["type"] == "json_schema")?;
        Some(&format["json_schema"]["schema"])
    }

    fn limit(&self) -> u64 {
        self.max_tokens.or(self.max_completion_tokens).unwrap_or(u64::MAX)
    }
}

/// Makes the answer, bills it, and spoils it where it shall be spoilt.
async fn answer(site: &Site, asked: &Asked, fault: Option<Fault>) -> Answer {
    let written = Written::by(site, asked, fault);
    site.counters.bill(written.prompt_tokens, written.completion_tokens);
    let mut completion = written.completion();
    match fault {
        Some(Fault::Timeout) => {
            tokio::time::sleep(site.hold()).await;
            http(StatusCode::GATEWAY_TIMEOUT, String::new())
        }
        Some(Fault::BadGateway) => http(StatusCode::BAD_GATEWAY, "<html>502 Bad Gateway</html>".into()),
        Some(Fault::HalfJson) => {
            let whole = completion.to_string();
            http(StatusCode::OK, whole.chars().take(whole.chars().count() / 2).collect())
        }
        Some(Fault::NoUsage) => {
            completion["usage"].take();
            http(StatusCode::OK, completion.to_string())
        }
        Some(Fault::Overbilled) => {
            completion["usage"]["completion_tokens"] = 100_000.into();
            http(StatusCode::OK, completion.to_string())
        }
        _ => http(StatusCode::OK, completion.to_string()),
    }
}

impl Written {
    fn by(site: &Site, asked: &Asked, fault: Option<Fault>) -> Self {
        let judge = |label: &str, text: &str| site.judge(label, text);
        let whole = spoilt(model::answer(&asked.messages, asked.schema(), &judge), fault);
        let (limit, length) = (asked.limit(), model::tokens(&whole));
        let (content, finish_reason) = match fault {
            Some(Fault::Refusal) => {
                return Self::empty(asked, Some("I'm sorry, but I can't help with that."), "stop");
            }
            Some(Fault::ContentFilter) => return Self::empty(asked, None, "content_filter"),
            Some(Fault::CutOff) => (first(&whole, length / 2), "length"),
            _ if length > limit => (first(&whole, limit), "length"),
            _ => (whole, "stop"),
        };
        let completion_tokens = model::tokens(&content);
        Self { content: content.into(), finish_reason, completion_tokens, ..Self::empty(asked, None, "stop") }
    }

    fn empty(asked: &Asked, refusal: Option<&'static str>, finish_reason: &'static str) -> Self {
        let prompt_tokens = model::prompt_tokens(&asked.messages, asked.schema());
        let completion_tokens = model::tokens(refusal.unwrap_or_default());
        Self { content: Value::Null, refusal, finish_reason, prompt_tokens, completion_tokens }
    }

    fn completion(&self) -> Value {
        json!({
            "id": "chatcmpl-stand-in",
            "object": "chat.completion",
            "created": chrono::Utc::now().timestamp(),
            "model": format!("{MODEL}-2026-11-01"),
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": self.content, "refusal": self.refusal},
                "logprobs": null,
                "finish_reason": self.finish_reason,
            }],
            "usage": {
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.completion_tokens,
                "total_tokens": self.prompt_tokens + self.completion_tokens,
            },
        })
    }
}

/// Answers that miss the schema, as models without constrained decoding write them.
fn spoilt(content: String, fault: Option<Fault>) -> String {
    match fault {
        Some(Fault::Prose) => format!("Sure! Here is the result:\n```json\n{content}\n```"),
        Some(Fault::WrongType) => content.replace(":true", ":\"true\"").replace(":false", ":\"false\""),
        Some(Fault::LabelMissing) => {
            let mut answer: Value = serde_json::from_str(&content).unwrap_or_default();
            if let Some(labels) = answer["labels"].as_object_mut() {
                let first = labels.keys().next().cloned().unwrap_or_default();
                labels.remove(&first);
            }
            answer.to_string()
        }
        _ => content,
    }
}

/// The first `tokens` tokens.
fn first(text: &str, tokens: u64) -> String {
    text.chars().take(usize::try_from(tokens.saturating_mul(4)).unwrap_or(usize::MAX)).collect()
}

fn turned_away(fault: Fault) -> Answer {
    let too_many = StatusCode::TOO_MANY_REQUESTS;
    match fault {
        Fault::NoCredit => {
            Refusal::new(too_many, "insufficient_quota", "You exceeded your current quota.").answer()
        }
        Fault::TooMany => {
            let mut answer =
                Refusal::new(too_many, "rate_limit_exceeded", "Rate limit reached for requests.").answer();
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            answer
        }
        _ => http(StatusCode::SERVICE_UNAVAILABLE, String::new()),
    }
}

/// A request that is turned away with a reason.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned() }
    }

    fn answer(self) -> Answer {
        let kind = if self.code == "insufficient_quota" { self.code } else { "invalid_request_error" };
        let error = json!({"message": self.message, "type": kind, "param": null, "code": self.code});
        http(self.status, json!({"error": error}).to_string())
    }
}

fn http(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Longer than any client waits, unless faults say otherwise.
pub(crate) const HOLD: Duration = Duration::from_secs(300);
