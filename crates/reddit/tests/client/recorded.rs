//! The client against answers that Reddit really gave, where such recordings are at hand: files of
//! `{status, headers, body}` in `reddit/` below MODLOOP_SHARED_DATA or `../shared/data` beside the repository.

use std::path::PathBuf;
use std::time::Duration;

use crate::scripted::{Reply, Server, token};
use modloop_domain::ItemKind;
use modloop_reddit::Fullname;
use modloop_reddit::{Deadline, ItemState, RedditError, Sighting, SubredditProblem};
use serde_json::Value;

fn recorded(name: &str) -> Option<Reply> {
    let folder = std::env::var_os("MODLOOP_SHARED_DATA").map(PathBuf::from);
    let folder =
        folder.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")));
    let file = std::fs::read_to_string(folder.join("reddit").join(name)).ok()?;
    let recording: Value = serde_json::from_str(&file).expect("a recording");
    // What belongs to the connection of then is left out.
    let of_then = ["content-encoding", "content-length", "transfer-encoding", "connection"];
    let headers = recording["headers"].as_object().expect("headers").iter();
    Some(Reply {
        status: recording["status"].as_u64().and_then(|s| s.try_into().ok()).expect("a status"),
        headers: headers
            .filter(|(name, _)| !of_then.contains(&name.to_lowercase().as_str()))
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        body: recording["body"].as_str().unwrap_or_default().to_owned(),
        delay: Duration::ZERO,
    })
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

fn live(sightings: &[Sighting]) -> usize {
    sightings.iter().filter(|s| matches!(s.state, ItemState::Live(_))).count()
}

#[tokio::test]
async fn listings_of_then_and_now_lose_nothing() {
    for (file, items) in [("new_2016.json", 0), ("new_before_page.json", 0), ("listing_2026.json", 100)] {
        let Some(reply) = recorded(file) else { continue };
        let raw: Value = serde_json::from_str(&reply.body).expect("a listing");
        let children = raw["data"]["children"].as_array().expect("children").clone();
        let names: Vec<Fullname> =
            children.iter().filter_map(|child| child["data"]["name"].as_str()?.parse().ok()).collect();
        let server = Server::start(vec![token(), reply]).await;
        // Through info, because these are listings of many subreddits at once.
        let info = server.client.info(&names, soon()).await.unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(info.bad, [], "{file}");
        assert_eq!(info.absent, [], "{file}");
        assert_eq!(info.sightings.len(), children.len(), "{file}");
        assert!(live(&info.sightings) >= items, "{file}");
    }
}

#[tokio::test]
async fn comments_are_read_after_a_recorded_token() {
    let (Some(token), Some(reply)) = (recorded("token.json"), recorded("comments.json")) else { return };
    let server = Server::start(vec![token, reply]).await;
    let subreddit = "askreddit".parse().expect("a name");
    let page = server.client.new_comments(&subreddit, None, soon()).await.expect("a page");
    assert_eq!(page.bad, []);
    assert!(page.sightings.len() >= 90, "{}", page.sightings.len());
    assert!(page.sightings.iter().all(|s| s.fullname.kind() == ItemKind::Comment));
    assert!(page.next.is_some());
}

#[tokio::test]
async fn info_reads_posts_and_comments_and_skips_subreddits() {
    let Some(reply) = recorded("info.json") else { return };
    let server = Server::start(vec![token(), reply]).await;
    let asked: Vec<Fullname> =
        vec!["t1_d7ltv00".parse().expect("a fullname"), "t1_zzzzzzz".parse().expect("a fullname")];
    let info = server.client.info(&asked, soon()).await.expect("an answer");
    assert_eq!(info.bad, []);
    assert_eq!(info.absent, [asked[1].clone()]);
    for kind in [ItemKind::Post, ItemKind::Comment] {
        assert!(info.sightings.iter().any(|s| s.fullname.kind() == kind), "{kind}");
    }
}

#[tokio::test]
async fn recorded_errors_are_understood() {
    let subreddit = "rust".parse().expect("a name");
    for (file, expected) in [
        ("error_403.json", SubredditProblem::Forbidden("no reason given".into())),
        ("error_403_json.json", SubredditProblem::Forbidden("no reason given".into())),
        ("error_404.json", SubredditProblem::NotFound),
    ] {
        let Some(reply) = recorded(file) else { continue };
        let server = Server::start(vec![token(), reply]).await;
        match server.client.new_posts(&subreddit, None, soon()).await.expect_err(file) {
            RedditError::Subreddit { problem, .. } => assert_eq!(problem, expected, "{file}"),
            other => panic!("{file}: {other}"),
        }
    }
    let empty = r#"{"kind":"Listing","data":{"after":null,"children":[]}}"#;
    for file in ["error_429_html.json", "error_429_json.json", "error_503_empty.json"] {
        let Some(reply) = recorded(file) else { continue };
        let server = Server::start(vec![token(), reply, crate::scripted::reply(200, empty)]).await;
        server.client.new_posts(&subreddit, None, soon()).await.unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(server.asked().len(), 3, "{file}: tried again");
    }
}
