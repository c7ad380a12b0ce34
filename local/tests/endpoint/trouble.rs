//! Stands before the cloud and does what no cloud does on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use futures::StreamExt;
use futures::future::ready;
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What becomes of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    Pass,
    /// The cloud never hears of it.
    Refused(StatusCode, &'static str),
    /// The answer says how long it is and breaks off half-way.
    BrokenOff,
    /// Of a batch for SQS, the cloud never hears of the entry at this place.
    WithoutEntry(usize),
}

type Fates = Arc<dyn Fn(usize) -> Fate + Send + Sync>;

#[derive(Clone)]
struct Trouble {
    cloud: String,
    http: reqwest::Client,
    calls: Arc<AtomicUsize>,
    fates: Fates,
}

/// Passes calls on to `cloud`; `fates` says what becomes of each, the first being 0. Gives its own address.
pub(crate) async fn before(cloud: &str, fates: impl Fn(usize) -> Fate + Send + Sync + 'static) -> String {
    // Fails only when a provider is there already, which will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trouble = Trouble {
        cloud: cloud.to_owned(),
        http: reqwest::Client::builder().no_proxy().build().expect("an HTTP client"),
        calls: Arc::default(),
        fates: Arc::new(fates),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let server = axum::serve(listener, Router::new().fallback(handle).with_state(trouble));
    tokio::spawn(server.into_future());
    format!("http://127.0.0.1:{port}")
}

async fn handle(
    State(trouble): State<Trouble>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let fate = (trouble.fates)(trouble.calls.fetch_add(1, Ordering::SeqCst));
    let (body, left_out) = match fate {
        Fate::Refused(status, code) => return refusal(status, code, &headers),
        Fate::WithoutEntry(place) => without_entry(&body, place),
        Fate::Pass | Fate::BrokenOff => (body, None),
    };
    let (status, mut headers, whole) = trouble.ask(method, &uri, headers, body).await;
    let body = match (fate, left_out) {
        (Fate::BrokenOff, _) => half(&whole),
        (_, Some(entry)) => {
            headers.remove(header::CONTENT_LENGTH);
            with_failure(&whole, &entry)
        }
        _ => Body::from(whole),
    };
    let mut answer = Response::new(body);
    (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
    answer
}

impl Trouble {
    async fn ask(
        &self,
        method: Method,
        uri: &Uri,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> (StatusCode, HeaderMap, Bytes) {
        headers.remove(header::HOST);
        headers.remove(header::CONTENT_LENGTH);
        let request = self.http.request(method, format!("{}{uri}", self.cloud)).headers(headers).body(body);
        let answer = request.send().await.expect("the cloud answers");
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        headers.remove(header::TRANSFER_ENCODING);
        (status, headers, answer.bytes().await.expect("a whole answer"))
    }
}

/// As S3 says it (XML) or as SQS does (JSON).
fn refusal(status: StatusCode, code: &str, asked: &HeaderMap) -> Response<Body> {
    let text = if asked.contains_key("x-amz-target") {
        json!({"__type": code, "message": "refused on the way"}).to_string()
    } else {
        format!("<Error><Code>{code}</Code><Message>refused on the way</Message></Error>")
    };
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    answer
}

/// The headers promise all of it. They go out with what there is when the stream has nothing ready for once.
fn half(whole: &Bytes) -> Body {
    let begun = whole.slice(..whole.len() / 2);
    let lost = async {
        tokio::task::yield_now().await;
        Err(std::io::Error::other("the connection is lost"))
    };
    Body::from_stream(stream::once(ready(Ok(begun))).chain(stream::once(lost)))
}

fn without_entry(batch: &Bytes, place: usize) -> (Bytes, Option<Value>) {
    let mut batch: Value = serde_json::from_slice(batch).expect("a batch");
    let entry = batch["Entries"].as_array_mut().expect("entries").remove(place);
    (batch.to_string().into(), Some(entry))
}

fn with_failure(answer: &Bytes, entry: &Value) -> Body {
    let mut answer: Value = serde_json::from_slice(answer).expect("an answer");
    answer["Failed"] = json!([{
        "Id": entry["Id"], "Code": "InternalError", "SenderFault": false, "Message": "no room at the moment",
    }]);
    Body::from(answer.to_string())
}
