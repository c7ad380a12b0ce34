//! A server that gives a prepared list of answers and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use modloop_reddit::{RedditClient, RedditCredentials, RedditSettings, Retries};

/// One prepared answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Held back this long.
    pub(crate) delay: Duration,
}

pub(crate) fn reply(status: u16, body: &str) -> Reply {
    let json = ("content-type".to_owned(), "application/json; charset=UTF-8".to_owned());
    Reply { status, headers: vec![json], body: body.to_owned(), delay: Duration::ZERO }
}

pub(crate) fn token() -> Reply {
    reply(200, r#"{"access_token":"t","token_type":"bearer","expires_in":3600,"scope":"*"}"#)
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) uri: String,
    pub(crate) authorization: String,
}

#[derive(Clone, Default)]
struct Script {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

pub(crate) struct Server {
    pub(crate) client: RedditClient,
    script: Script,
}

impl Server {
    /// Answers in the order given; anything after that is a 418.
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let script = Script { replies: Arc::new(Mutex::new(replies.into())), ..Script::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"))
            .parse::<url::Url>()
            .expect("a url");
        let app = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let retries = Retries { attempts: 3, first_wait: Duration::from_millis(1), ..Retries::default() };
        let settings = RedditSettings::new(url.clone(), url, "test:modloop:0.1").expect("settings");
        let settings = settings.with_timeout(Duration::from_millis(300)).with_retries(retries);
        let credentials = RedditCredentials { client_id: "id".into(), client_secret: "hush".into() };
        Self { client: RedditClient::new(settings, credentials).expect("a client"), script }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(State(script): State<Script>, request: Request) -> Response<Body> {
    let authorization =
        request.headers().get("authorization").map(|v| String::from_utf8_lossy(v.as_bytes()).into());
    let asked = Asked { uri: request.uri().to_string(), authorization: authorization.unwrap_or_default() };
    script.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    let next = script.replies.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let reply = next.unwrap_or_else(|| reply(418, "nothing more was prepared"));
    tokio::time::sleep(reply.delay).await;
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).expect("a response")
}
