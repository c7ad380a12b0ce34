use modloop_domain::Actor;
use modloop_domain::{RequestedBy, RunState};
use modloop_store::runs::{Change, RunRequest, RunUpdate};
use serde_json::{Value, json};

use super::{asked, bring_to, with_run};

fn began<'a>(update: &'a RunUpdate, facts: &'a Value) -> Change<'a> {
    Change { update, what: "began", facts }
}

#[tokio::test]
async fn an_episode_starts_one_run_however_often_it_is_delivered() {
    let (database, store, _) = with_run().await;
    let client = database.client().await;
    client.batch_execute("insert into communities (name) values ('rust')").await.expect("stored");
    let sql = "insert into drift_episodes (community_id, model_id) select c.id, m.id from communities c, models m returning id";
    let episode: i64 = client.query_one(sql, &[]).await.expect("stored").get(0);
    let request = RunRequest { by: RequestedBy::Monitor, episode: Some(episode), ..asked() };
    let (first, second) = (store.request_run(&request).await, store.request_run(&request).await);
    let (first, second) = (first.expect("stored"), second.expect("known"));
    assert_eq!((first.0, first.1, second.1), (second.0, true, false));
    assert_eq!(store.story(first.0).await.expect("reads").len(), 1);
}

#[tokio::test]
async fn a_run_moves_once_and_tells_so_once() {
    let (_database, store, run) = with_run().await;
    let progress =
        RunUpdate { champion_version: Some("v1".parse().expect("a version")), ..RunUpdate::default() };
    let step = (RunState::Requested, RunState::Sampling);
    let moved = store.move_run(run, step, began(&progress, &json!({"n": 1}))).await.expect("moves");
    let moved = moved.expect("it was requested");
    assert_eq!((moved.state, moved.started_at.is_some()), (RunState::Sampling, true));
    assert_eq!(moved.champion_version.as_ref().map(|v| v.as_str()), Some("v1"));
    let again = store.move_run(run, step, began(&progress, &json!({}))).await.expect("asks");
    assert!(again.is_none(), "it had moved on");
    let story = store.story(run).await.expect("reads");
    let story: Vec<_> = story.iter().map(|event| (event.state.as_str(), event.what.as_str())).collect();
    assert_eq!(story, [("requested", "requested by operator"), ("sampling", "began")]);
}

#[tokio::test]
async fn only_one_run_is_under_way() {
    let (_database, store, first) = with_run().await;
    let (second, _) = store.request_run(&asked()).await.expect("stored");
    bring_to(&store, first, RunState::Sampling).await;
    let moved = store
        .move_run(second, (RunState::Requested, RunState::Sampling), began(&RunUpdate::default(), &json!({})))
        .await;
    assert!(moved.expect_err("the first is under way").to_string().contains("runs_active"));
    assert_eq!(store.current_run().await.expect("reads").map(|run| run.id), Some(first));
    bring_to(&store, first, RunState::Rejected).await;
    assert_eq!(store.current_run().await.expect("reads").map(|run| run.id), Some(second));
}

#[tokio::test]
async fn why_a_run_waits_is_told_once_and_forgotten_when_it_moves() {
    let (_database, store, run) = with_run().await;
    for reason in ["S3 is away", "S3 is away", "S3 is full"] {
        store.note_trouble(run, reason).await.expect("noted");
    }
    let waiting = store.run(run).await.expect("reads").expect("a run");
    assert_eq!((waiting.reason.as_deref(), waiting.failing_since.is_some()), (Some("S3 is full"), true));
    assert_eq!(store.story(run).await.expect("reads").len(), 3);
    let step = (RunState::Requested, RunState::Sampling);
    let moved = store.move_run(run, step, began(&RunUpdate::default(), &json!({}))).await.expect("moves");
    let moved = moved.expect("it was requested");
    assert_eq!((moved.reason, moved.failing_since), (None, None));
}

#[tokio::test]
async fn a_lease_is_one_holders_until_it_ends() {
    let (database, store, _run) = with_run().await;
    let minute = std::time::Duration::from_secs(60);
    let take = async |holder: &str| store.take_lease("runs", holder, minute).await.expect("asks");
    assert!(take("one").await && take("one").await, "renewed");
    assert!(!take("two").await);
    // The holder was killed, and a minute passes.
    database.client().await.batch_execute("update leases set until = now()").await.expect("passed");
    assert!(take("two").await && !take("one").await);
    store.release_lease("runs", "one").await.expect("not its own");
    assert!(!take("one").await);
    store.release_lease("runs", "two").await.expect("given back");
    assert!(take("one").await);
}

#[tokio::test]
async fn a_stop_is_asked_for_once_and_refused_for_a_run_that_is_over() {
    let (_database, store, run) = with_run().await;
    let actor = Actor::local("alice");
    for _ in 0..2 {
        let stopping = store.request_stop(run, &actor).await.expect("asked");
        assert_eq!(stopping.stop_requested_by.as_deref(), Some("local:alice"));
    }
    assert_eq!(store.audit(Some("run:1"), 10).await.expect("reads").len(), 1);
    bring_to(&store, run, RunState::Stopped).await;
    let error = store.request_stop(run, &actor).await.expect_err("over").to_string();
    assert!(error.contains("run 1 is over already: it ended as stopped"), "{error}");
    assert!(store.request_stop(404, &actor).await.expect_err("unknown").to_string().contains("no run 404"));
}
