//! A loopback proxy before MLflow that notes what is sent and breaks what it is told to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It goes through.
    None,
    /// It never reaches MLflow: 503 without a body.
    Refused,
    /// MLflow does what it asks for, and the answer is lost: 504 with HTML.
    AnswerLost,
    /// The answer takes longer than anybody waits.
    Slow,
}

/// A request as MLflow saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
}

type Plan = dyn Fn(usize) -> Fault + Send + Sync;

struct Inner {
    target: String,
    plan: Box<Plan>,
    seen: Mutex<Vec<Seen>>,
    http: reqwest::Client,
}

/// Stops when it is dropped.
pub(crate) struct Proxy {
    pub(crate) url: String,
    inner: Arc<Inner>,
    serving: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Proxy {
    /// A proxy that does to the n-th request, counted from 0, what `plan` says.
    pub(crate) async fn start(target: &str, plan: impl Fn(usize) -> Fault + Send + Sync + 'static) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let inner =
            Arc::new(Inner { target: target.to_owned(), plan: Box::new(plan), seen: Mutex::default(), http });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(pass).with_state(Arc::clone(&inner));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { url, inner, serving }
    }

    /// What came by, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().expect("whole").clone()
    }
}

async fn pass(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let number = {
        let mut seen = inner.seen.lock().expect("whole");
        seen.push(Seen { line: format!("{} {path}", parts.method), headers: parts.headers.clone() });
        seen.len() - 1
    };
    let fault = (inner.plan)(number);
    if fault == Fault::Refused {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let body = to_bytes(body, usize::MAX).await.expect("a whole body");
    let mut forward = inner.http.request(parts.method, format!("{}{path}", inner.target)).body(body);
    if let Some(kind) = parts.headers.get("content-type") {
        forward = forward.header("content-type", kind);
    }
    let answer = forward.send().await.expect("MLflow answers");
    let (status, body) = (answer.status(), answer.bytes().await.expect("a whole answer"));
    match fault {
        Fault::None | Fault::Refused => (status, Body::from(body)).into_response(),
        Fault::AnswerLost => (StatusCode::GATEWAY_TIMEOUT, "<html>Gateway Timeout</html>").into_response(),
        Fault::Slow => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            StatusCode::OK.into_response()
        }
    }
}
