//! The HTTP side: what is asked, and how Reddit would answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Form, Path, Query, Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::{get, post};
use chrono::Utc;
use modloop_domain::ItemKind;
use modloop_reddit::Fullname;
use serde::Deserialize;
use serde_json::json;

use super::faults::{Fault, Faults};
use super::feed::Feed;
use super::json;
use super::stats::Counters;
use super::world::{Shown, World};

/// What the application is known by here.
pub const CLIENT_ID: &str = "stand-in";
/// No secret: it opens nothing but this stand-in.
pub const CLIENT_SECRET: &str = "only-for-the-stand-in";
/// Id and secret in base 64, as a client sends them.
const BASIC_AUTH: &str = "Basic c3RhbmQtaW46b25seS1mb3ItdGhlLXN0YW5kLWlu";

/// Reddit shows no more of a listing.
const LISTING_DEPTH: usize = 1000;

pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) counters: Counters,
    pub(crate) faults: Option<Faults>,
    /// No page is longer, whatever is asked for.
    pub(crate) page_size: usize,
    /// Part of the token that is good now.
    pub(crate) token: AtomicU64,
}

type Shared = State<Arc<Site>>;
type Answer = Response<Body>;

pub(crate) fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/api/v1/access_token", post(access_token))
        .route("/api/info", get(info))
        .route("/r/{subreddit}/{listing}", get(listing))
        .layer(from_fn_with_state(Arc::clone(&site), counted))
        .with_state(site)
}

/// Counts every request, says what is left of the allowance, and makes some answers faulty.
async fn counted(State(site): Shared, request: Request, next: Next) -> Answer {
    let number = site.counters.request();
    let fault = site.faults.and_then(|faults| Some((faults.of(number)?, faults.hold)));
    let mut answer = match fault {
        Some((fault, hold)) => {
            site.counters.fault(fault);
            faulty(fault, hold, request, next).await
        }
        None => next.run(request).await,
    };
    let left = site.counters.allowance();
    for (name, value) in [
        ("x-ratelimit-used", left.used.to_string()),
        ("x-ratelimit-remaining", format!("{:.1}", left.remaining)),
        ("x-ratelimit-reset", left.reset.as_secs().to_string()),
    ] {
        if let Ok(value) = value.parse() {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

async fn faulty(fault: Fault, hold: Duration, request: Request, next: Next) -> Answer {
    let busy = |kind, body| {
        let mut answer = answer(StatusCode::TOO_MANY_REQUESTS, kind, body);
        answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        answer
    };
    match fault {
        Fault::TooManyHtml => busy(
            HTML,
            "<!doctype html>\n<html><title>Too Many Requests</title><p>slow down</p></html>".into(),
        ),
        Fault::TooManyJson => busy(JSON, json!({"message": "Too Many Requests", "error": 429}).to_string()),
        Fault::Empty => answer(StatusCode::SERVICE_UNAVAILABLE, JSON, String::new()),
        Fault::Timeout => {
            tokio::time::sleep(hold).await;
            answer(StatusCode::GATEWAY_TIMEOUT, HTML, String::new())
        }
        Fault::Malformed => {
            let (parts, body) = next.run(request).await.into_parts();
            let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
            let half = whole.slice(..whole.len() / 2);
            answer(parts.status, JSON, String::from_utf8_lossy(&half).into_owned())
        }
    }
}

const JSON: &str = "application/json; charset=UTF-8";
const HTML: &str = "text/html; charset=UTF-8";

fn answer(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    answer
}

fn refusal(status: StatusCode, reason: Option<&str>) -> Answer {
    let message = status.canonical_reason();
    answer(status, JSON, json!({"reason": reason, "message": message, "error": status.as_u16()}).to_string())
}

#[derive(Deserialize)]
struct Grant {
    grant_type: String,
}

async fn access_token(State(site): Shared, headers: HeaderMap, Form(grant): Form<Grant>) -> Answer {
    let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    if given != Some(BASIC_AUTH.as_bytes()) {
        return refusal(StatusCode::UNAUTHORIZED, None);
    }
    if grant.grant_type != "client_credentials" {
        // As on Reddit, with status 200.
        return answer(StatusCode::OK, JSON, json!({"error": "unsupported_grant_type"}).to_string());
    }
    let token =
        json!({"access_token": good_token(&site), "token_type": "bearer", "expires_in": 3600, "scope": "*"});
    answer(StatusCode::OK, JSON, token.to_string())
}

fn good_token(site: &Site) -> String {
    format!("stand-in-token-{}", site.token.load(Ordering::Relaxed))
}

fn is_authorised(site: &Site, headers: &HeaderMap) -> bool {
    let expected = format!("bearer {}", good_token(site));
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|given| given.eq_ignore_ascii_case(&expected))
}

#[derive(Deserialize)]
struct Paging {
    limit: Option<usize>,
    after: Option<String>,
    before: Option<String>,
}

async fn listing(
    State(site): Shared,
    headers: HeaderMap,
    Path((subreddit, listing)): Path<(String, String)>,
    Query(paging): Query<Paging>,
) -> Answer {
    if !is_authorised(&site, &headers) {
        return refusal(StatusCode::UNAUTHORIZED, None);
    }
    let subreddit = subreddit.to_lowercase();
    if let Some(refused) = out_of_reach(&subreddit) {
        return refused;
    }
    let kind = match listing.as_str() {
        "new" => ItemKind::Post,
        "comments" => ItemKind::Comment,
        _ => return refusal(StatusCode::NOT_FOUND, None),
    };
    let mut items = site.world.listing(&subreddit, kind, Utc::now());
    items.truncate(LISTING_DEPTH);
    let (page, after) = page(&items, &paging, site.page_size);
    answer(StatusCode::OK, JSON, json::listing(page.iter().map(json::thing).collect(), after))
}

/// Subreddits that exist to be refused, and those that do not exist.
fn out_of_reach(subreddit: &str) -> Option<Answer> {
    if Feed::subreddits().iter().any(|name| name.as_str() == subreddit) {
        return None;
    }
    Some(match subreddit {
        "private_club" => refusal(StatusCode::FORBIDDEN, Some("private")),
        "quarantined_place" => refusal(StatusCode::FORBIDDEN, Some("quarantined")),
        "banned_corner" => refusal(StatusCode::NOT_FOUND, Some("banned")),
        // Reddit sends what it does not know to its search page.
        _ => {
            let mut answer = answer(StatusCode::FOUND, HTML, String::new());
            if let Ok(search) = format!("/subreddits/search?q={subreddit}").parse() {
                answer.headers_mut().insert(header::LOCATION, search);
            }
            answer
        }
    })
}

/// The slice that was asked for, newest first, and where the next one starts. Anchors may be gone: their
/// place counts.
fn page<'a>(items: &'a [Shown], paging: &Paging, page_size: usize) -> (&'a [Shown], Option<&'a str>) {
    let limit = paging.limit.unwrap_or(25).clamp(1, page_size);
    let anchor = |name: &Option<String>| name.as_ref().and_then(|name| name.parse::<Fullname>().ok());
    let (from, to) = if let Some(before) = anchor(&paging.before) {
        let end = items.partition_point(|shown| is_newer(&shown.item.fullname, &before));
        (end.saturating_sub(limit), end)
    } else {
        let start = anchor(&paging.after).map_or(0, |after| {
            items.partition_point(|shown| {
                is_newer(&shown.item.fullname, &after) || shown.item.fullname == after
            })
        });
        (start, items.len().min(start + limit))
    };
    let after = if to < items.len() { items[from..to].last() } else { None };
    (&items[from..to], after.map(|shown| shown.item.fullname.as_str()))
}

/// Keys grow with time: a longer one is newer, and of equal length the later one in the alphabet.
fn is_newer(a: &Fullname, b: &Fullname) -> bool {
    (a.as_str().len(), a.as_str()) > (b.as_str().len(), b.as_str())
}

#[derive(Deserialize)]
struct Names {
    id: String,
}

async fn info(State(site): Shared, headers: HeaderMap, Query(names): Query<Names>) -> Answer {
    if !is_authorised(&site, &headers) {
        return refusal(StatusCode::UNAUTHORIZED, None);
    }
    let names = names.id.split(',').take(100).filter_map(|name| name.parse().ok());
    let found: Vec<_> = names.filter_map(|name: Fullname| site.world.find(&name, Utc::now())).collect();
    answer(StatusCode::OK, JSON, json::listing(found.iter().map(json::thing).collect(), None))
}
