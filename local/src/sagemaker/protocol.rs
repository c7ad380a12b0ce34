//! The HTTP side: AWS JSON 1.1, with the action in a header.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::post;
use serde_json::{Value, json};

use super::work::{Jobs, MAX_RUN};

/// An error as AWS words it.
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self { code: "ValidationException", message: message.into() }
    }
}

pub(crate) fn router(jobs: Arc<Jobs>) -> Router {
    Router::new().route("/", post(answer)).with_state(jobs)
}

async fn answer(State(jobs): State<Arc<Jobs>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let action = headers.get("x-amz-target").and_then(|v| v.to_str().ok()).unwrap_or_default();
    match act(&jobs, action, &body) {
        Ok(body) => response(StatusCode::OK, &body),
        Err(Refusal { code, message }) => {
            response(StatusCode::BAD_REQUEST, &json!({"__type": code, "message": message}))
        }
    }
}

fn act(jobs: &Arc<Jobs>, action: &str, body: &[u8]) -> Result<Value, Refusal> {
    let request: Value = serde_json::from_slice(body)
        .map_err(|e| Refusal { code: "SerializationException", message: e.to_string() })?;
    let name = request["TrainingJobName"].as_str().unwrap_or_default().to_owned();
    match action.strip_prefix("SageMaker.") {
        Some("CreateTrainingJob") => {
            check(&request)?;
            jobs.create(request)
        }
        Some("DescribeTrainingJob") => jobs.describe(&name),
        Some("StopTrainingJob") => jobs.stop(&name),
        _ => Err(Refusal {
            code: "UnknownOperationException",
            message: format!("the stand-in does not know {action:?}"),
        }),
    }
}

/// What SageMaker refuses before it starts anything.
fn check(request: &Value) -> Result<(), Refusal> {
    let name = request["TrainingJobName"].as_str().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || name.len() > 63 || !name.chars().all(plain) || name.starts_with('-') {
        return Err(Refusal::validation(format!(
            "Value '{name}' at 'trainingJobName' failed to satisfy constraint: Member must satisfy regular expression \
             pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){{0,62}}"
        )));
    }
    for member in [
        "/RoleArn",
        "/AlgorithmSpecification/TrainingInputMode",
        "/OutputDataConfig/S3OutputPath",
        "/ResourceConfig/VolumeSizeInGB",
        "/StoppingCondition",
    ] {
        if request.pointer(member).is_none_or(Value::is_null) {
            return Err(Refusal::validation(format!(
                "Value null at '{member}' failed to satisfy constraint: Member must not be null"
            )));
        }
    }
    let parameters = request["HyperParameters"].as_object().into_iter().flatten();
    for (name, value) in parameters {
        if value.as_str().is_none_or(|text| text.len() > 2500) {
            return Err(Refusal::validation(format!(
                "hyperparameter {name} must be a string of at most 2500 characters"
            )));
        }
    }
    spot_has_a_limit(request)
}

/// A spot job needs a longest wait that is no shorter than its longest run.
fn spot_has_a_limit(request: &Value) -> Result<(), Refusal> {
    if request["EnableManagedSpotTraining"] != json!(true) {
        return Ok(());
    }
    let limits = &request["StoppingCondition"];
    let run = limits["MaxRuntimeInSeconds"].as_u64().unwrap_or(MAX_RUN);
    match limits["MaxWaitTimeInSeconds"].as_u64() {
        Some(wait) if wait >= run => Ok(()),
        _ => Err(Refusal::validation(
            "MaxWaitTimeInSeconds must be greater than or equal to MaxRuntimeInSeconds when EnableManagedSpotTraining is true",
        )),
    }
}

fn response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("application/x-amz-json-1.1");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
