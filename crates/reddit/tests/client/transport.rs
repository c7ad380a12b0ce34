//! The client against a server that misbehaves on purpose.

use std::time::Duration;

use crate::scripted::{Reply, Server, reply, token};
use modloop_reddit::{Deadline, Page, RedditError, SubredditProblem};
use modloop_reddit::{Fullname, SubredditName};

const EMPTY: &str = r#"{"kind":"Listing","data":{"after":null,"children":[]}}"#;

fn rust() -> SubredditName {
    "rust".parse().expect("a name")
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

async fn posts(server: &Server) -> Result<Page, RedditError> {
    server.client.new_posts(&rust(), None, soon()).await
}

#[tokio::test]
async fn a_page_is_asked_for_with_a_token_that_is_kept() {
    let server = Server::start(vec![token(), reply(200, EMPTY), reply(200, EMPTY)]).await;
    posts(&server).await.expect("a page");
    let after: Fullname = "t1_abc".parse().expect("a fullname");
    server.client.new_comments(&rust(), Some(&after), soon()).await.expect("a page");
    let asked = server.asked();
    assert_eq!(asked[0].uri, "/api/v1/access_token");
    assert_eq!(asked[0].authorization, "Basic aWQ6aHVzaA==");
    assert!(asked[1].uri.starts_with("/r/rust/new?raw_json=1&limit=100"), "{}", asked[1].uri);
    assert!(
        asked[2].uri.starts_with("/r/rust/comments?raw_json=1&after=t1_abc&limit=100"),
        "{}",
        asked[2].uri
    );
    assert_eq!(asked[2].authorization, "Bearer t");
}

#[tokio::test]
async fn what_a_retry_can_help_is_tried_again() {
    let html = Reply {
        headers: vec![("content-type".into(), "text/html".into()), ("retry-after".into(), "0".into())],
        ..reply(429, "<!doctype html><title>Too Many Requests</title>")
    };
    let slow = Reply { delay: Duration::from_secs(2), ..reply(200, EMPTY) };
    let troubles = [
        html,
        reply(429, r#"{"message": "Too Many Requests", "error": 429}"#),
        reply(503, ""),
        reply(200, ""),
        reply(200, r#"{"kind":"Listing","data":{"chil"#),
        slow,
    ];
    for trouble in troubles {
        let what = format!("{} {:?}", trouble.status, trouble.body);
        let server = Server::start(vec![token(), trouble, reply(200, EMPTY)]).await;
        posts(&server).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(server.asked().len(), 3, "{what}");
    }
}

#[tokio::test]
async fn the_token_is_tried_again_too() {
    let replies = vec![reply(503, ""), reply(200, "{"), token(), reply(200, EMPTY)];
    posts(&Server::start(replies).await).await.expect("a page");
}

#[tokio::test]
async fn attempts_end() {
    let server = Server::start(vec![token(), reply(503, ""), reply(502, ""), reply(200, "{")]).await;
    let error = posts(&server).await.expect_err("three bad answers");
    assert!(error.is_retryable() && !error.concerns_everything(), "{error}");
    assert_eq!(error.to_string(), "GET /r/rust/new was answered with malformed JSON (line 1, column 1)");
}

#[tokio::test]
async fn refused_credentials_are_not_tried_again() {
    for refusal in
        [reply(200, r#"{"error":"invalid_grant"}"#), reply(401, r#"{"message":"Unauthorized","error":401}"#)]
    {
        let server = Server::start(vec![refusal]).await;
        let error = posts(&server).await.expect_err("refused");
        assert!(matches!(error, RedditError::Credentials(_)) && error.concerns_everything(), "{error}");
        assert!(!error.to_string().contains("hush"));
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let replies = vec![token(), reply(401, ""), token(), reply(200, EMPTY)];
    posts(&Server::start(replies).await).await.expect("a page");
    let server = Server::start(vec![token(), reply(401, ""), token(), reply(401, "")]).await;
    let error = posts(&server).await.expect_err("refused twice");
    assert!(matches!(error, RedditError::Credentials(_)), "{error}");
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn broken_subreddits_are_told_apart() {
    let search = Reply {
        headers: vec![("location".into(), "https://oauth.reddit.com/subreddits/search?q=rust".into())],
        ..reply(302, "")
    };
    for (answer, expected) in [
        (reply(403, r#"{"reason":"private","message":"Forbidden","error":403}"#), SubredditProblem::Private),
        (
            reply(403, r#"{"reason":"quarantined","quarantine_message":"long"}"#),
            SubredditProblem::Quarantined,
        ),
        (reply(404, r#"{"reason":"banned","message":"Not Found","error":404}"#), SubredditProblem::Banned),
        (reply(404, r#"{"message":"Not Found","error":404}"#), SubredditProblem::NotFound),
        (reply(403, r#"{"reason":"gold_only"}"#), SubredditProblem::Forbidden("gold_only".into())),
        (search, SubredditProblem::NotFound),
    ] {
        let server = Server::start(vec![token(), answer]).await;
        match posts(&server).await.expect_err("broken") {
            RedditError::Subreddit { name, problem } => assert_eq!((name, problem), (rust(), expected)),
            other => panic!("{other}"),
        }
        assert_eq!(server.asked().len(), 2, "neither tried again nor followed");
    }
}

#[tokio::test]
async fn a_blocked_client_is_no_fault_of_the_subreddit() {
    let page =
        Reply { headers: vec![("content-type".into(), "text/html".into())], ..reply(403, "<html>whoa") };
    let error = posts(&Server::start(vec![token(), page]).await).await.expect_err("blocked");
    assert!(matches!(error, RedditError::Blocked) && error.concerns_everything(), "{error}");
}

#[tokio::test]
async fn a_used_up_allowance_stops_the_client_until_the_deadline() {
    let last = Reply {
        headers: vec![
            ("x-ratelimit-remaining".into(), "0.0".into()),
            ("x-ratelimit-reset".into(), "300".into()),
        ],
        ..reply(200, EMPTY)
    };
    let server = Server::start(vec![token(), last]).await;
    posts(&server).await.expect("the last one");
    let error = posts(&server).await.expect_err("nothing left");
    assert!(error.is_out_of_budget(), "{error}");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn nothing_outlasts_the_deadline() {
    let slow = Reply { delay: Duration::from_secs(5), ..reply(200, EMPTY) };
    let server = Server::start(vec![token(), slow]).await;
    let deadline = Deadline::after(Duration::from_millis(150));
    let error = server.client.new_posts(&rust(), None, deadline).await.expect_err("too slow");
    assert!(error.is_out_of_budget(), "{error}");
}

#[tokio::test]
async fn info_says_what_is_absent() {
    let comment = |name: &str, body: &str| {
        format!(
            r#"{{"kind":"t1","data":{{"name":{name},"subreddit":"rust","author":"a","body":{body},"created_utc":1760000000.0}}}}"#
        )
    };
    let listing =
        |things: &[String]| format!(r#"{{"kind":"Listing","data":{{"children":[{}]}}}}"#, things.join(","));
    let names: Vec<Fullname> = ["t1_1", "t1_2", "t1_3"].map(|n| n.parse().expect("a fullname")).into();

    let some = listing(&[comment("\"t1_1\"", "\"x\""), comment("\"t1_2\"", "7")]);
    let nameless = listing(&[comment("\"t1_1\"", "\"x\""), comment("null", "\"x\"")]);
    let server = Server::start(vec![token(), reply(200, &some), reply(200, &nameless)]).await;

    let info = server.client.info(&names, soon()).await.expect("an answer");
    assert!(server.asked()[1].uri.starts_with("/api/info?id=t1_1,t1_2,t1_3&"), "{}", server.asked()[1].uri);
    assert_eq!((info.sightings.len(), info.bad.len()), (1, 1));
    assert_eq!(info.absent, [names[2].clone()], "a bad item is not an absent one");

    let info = server.client.info(&names, soon()).await.expect("an answer");
    assert!(info.absent.is_empty(), "the nameless item may be any of them");
}

#[tokio::test]
async fn info_takes_a_hundred_names() {
    let server = Server::start(vec![]).await;
    let names: Vec<Fullname> = (0..101).map(|n| format!("t1_{n}").parse().expect("a fullname")).collect();
    assert!(server.client.info(&names, soon()).await.is_err());
    assert!(server.client.info(&[], soon()).await.expect("nothing asked").sightings.is_empty());
    assert!(server.asked().is_empty());
}
