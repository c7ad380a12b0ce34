use std::sync::Arc;

use modloop_store::predictions::Recorded;

use crate::fixture::{FakeScorer, Fixture, UNSCORABLE, done_before, event, failures, messages};

fn row(item: &str, decision: &str) -> (String, String, String) {
    (item.to_owned(), "v1".to_owned(), decision.to_owned())
}

#[tokio::test]
async fn items_are_scored_decided_and_settled() {
    let function = Fixture::new().await;
    function.comment("t1_1", "fine").await;
    function.comment("t1_2", "bad").await;
    let report = function.handle(messages(&["t1_1", "t1_2"])).await;
    assert!(failures(&report).is_empty());
    assert_eq!(report.recorded(), Recorded { inserted: 2, known: 0, superseded: 0 });
    assert_eq!(function.predictions().await, [row("t1_1", "allow"), row("t1_2", "remove")]);
    assert_eq!(function.waiting().await, 0);
}

#[tokio::test]
async fn poison_and_an_unscorable_text_fail_alone() {
    let function = Fixture::new().await;
    function.comment("t1_1", "fine").await;
    function.comment("t1_2", UNSCORABLE).await;
    let bodies = [r#"{"item":"t1_1"}"#, "not json", r#"{"item":"t1_2"}"#, r#"{"item":"t1 9"}"#, ""];
    let report = function.handle(event(&bodies)).await;
    assert_eq!(failures(&report), ["m1", "m2", "m3", "m4"]);
    assert_eq!((report.poison, report.failed(), report.recorded().inserted), (3, 1, 1));
    assert_eq!(function.predictions().await, [row("t1_1", "allow")]);
    // Still due: a later delivery or the next fetch brings it again.
    assert_eq!(function.waiting().await, 1);
}

#[tokio::test]
async fn an_item_named_twice_is_scored_once_and_both_messages_are_done() {
    let scorer = Arc::new(FakeScorer::new("v1"));
    let function = Fixture::with(scorer.clone()).await;
    function.comment("t1_1", "fine").await;
    let report = function.handle(messages(&["t1_1", "t1_1", "t1_1"])).await;
    assert!(failures(&report).is_empty());
    assert_eq!(*scorer.seen.lock().expect("no panic"), ["fine"]);
}

#[tokio::test]
async fn all_messages_of_an_unscorable_item_fail() {
    let function = Fixture::new().await;
    function.comment("t1_1", UNSCORABLE).await;
    assert_eq!(failures(&function.handle(messages(&["t1_1", "t1_1"])).await), ["m0", "m1"]);
}

#[tokio::test]
async fn a_batch_delivered_again_changes_nothing() {
    let function = Fixture::new().await;
    function.comment("t1_1", "fine").await;
    function.handle(messages(&["t1_1"])).await;
    let again = function.handle(messages(&["t1_1"])).await;
    assert_eq!((failures(&again).len(), done_before(&again), again.recorded().inserted), (0, 1, 0));
    assert_eq!(function.predictions().await.len(), 1);
}

#[tokio::test]
async fn items_that_are_gone_are_done() {
    let function = Fixture::new().await;
    function.comment("t1_1", "deleted by its author").await;
    function.database.delete_text("t1_1").await;
    let report = function.handle(messages(&["t1_1", "t3_never"])).await;
    assert_eq!((failures(&report).len(), done_before(&report)), (0, 2));
    assert!(function.predictions().await.is_empty());
}

#[tokio::test]
async fn an_empty_event_is_done() {
    let function = Fixture::new().await;
    assert!(failures(&function.handle(event(&[])).await).is_empty());
}
