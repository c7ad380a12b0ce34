use std::sync::Arc;
use std::time::Duration;

use modloop_domain::ItemText;
use modloop_store::testing::TestDatabase;
use modloop_store::{Database, DatabaseSettings};
use tokio::runtime::Handle;

use crate::fixture::{FakeScorer, Fixture, event, failures, messages};

/// A function whose model sees `meanwhile` happen while it scores.
async fn while_scoring<F: Future>(
    meanwhile: impl Fn(Arc<TestDatabase>) -> F + Send + Sync + 'static,
) -> Fixture {
    let database = Arc::new(TestDatabase::create().await);
    let (runtime, shared) = (Handle::current(), Arc::downgrade(&database));
    let scorer = FakeScorer::with("v1", move || {
        if let Some(database) = shared.upgrade() {
            runtime.block_on(meanwhile(database));
        }
    });
    Fixture::on(database, Arc::new(scorer), Duration::from_secs(300)).await
}

#[tokio::test]
async fn a_restart_of_postgres_between_batches_is_not_noticed() {
    let function = Fixture::new().await;
    for name in ["t1_1", "t1_2"] {
        function.comment(name, "fine").await;
        assert!(failures(&function.handle(messages(&[name])).await).is_empty());
        function.database.terminate_connections().await;
    }
    assert_eq!(function.predictions().await.len(), 2);
}

#[tokio::test]
async fn a_restart_of_postgres_while_scoring_costs_one_more_try() {
    let function = while_scoring(|database| async move { database.terminate_connections().await }).await;
    function.comment("t1_1", "fine").await;
    let report = function.handle(messages(&["t1_1"])).await;
    assert_eq!((failures(&report).len(), report.recorded().inserted), (0, 1));
}

#[tokio::test]
async fn an_item_edited_while_it_is_scored_stays_due() {
    let function = while_scoring(|database| async move {
        database.insert_item("rust", "t1_1", &ItemText::new(None, "edited")).await;
    })
    .await;
    function.comment("t1_1", "fine").await;
    let report = function.handle(messages(&["t1_1"])).await;
    assert_eq!((failures(&report).len(), report.recorded().superseded), (0, 1));
    assert_eq!(function.waiting().await, 1);
}

#[tokio::test]
async fn an_item_deleted_while_it_is_scored_leaves_nothing() {
    let function = while_scoring(|database| async move { database.delete_text("t1_1").await }).await;
    function.comment("t1_1", "fine").await;
    let report = function.handle(messages(&["t1_1"])).await;
    assert_eq!((failures(&report).len(), report.recorded().superseded), (0, 1));
    assert!(function.predictions().await.is_empty());
}

#[tokio::test]
async fn a_model_that_panics_fails_the_items_and_not_the_process() {
    let function = Fixture::with(Arc::new(FakeScorer::with("v1", || panic!("out of memory")))).await;
    function.comment("t1_1", "fine").await;
    assert_eq!(failures(&function.handle(messages(&["t1_1"])).await), ["m0"]);
    assert_eq!(function.waiting().await, 1);
}

#[tokio::test]
async fn a_database_that_stays_stuck_sends_every_message_back() {
    let mut function = Fixture::new().await;
    function.comment("t1_1", "fine").await;
    let impatient = function.database.settings().clone().with_statement_timeout(Duration::from_millis(200));
    function.context.database = Database::new(impatient);
    let other = function.database.client().await;
    other.batch_execute("begin; lock table items in access exclusive mode").await.expect("locked");
    let report = function.handle(messages(&["t1_1", "t1_1", "t3_2"])).await;
    assert_eq!(failures(&report), ["m0", "m1", "m2"]);

    other.batch_execute("rollback").await.expect("unlocked");
    assert!(failures(&function.handle(messages(&["t1_1"])).await).is_empty());
}

#[tokio::test]
async fn a_refused_password_is_told_apart_and_poison_still_fails() {
    let mut function = Fixture::new().await;
    let (_, place) = function.database.url().rsplit_once('@').expect("a user and a place");
    let settings =
        DatabaseSettings::from_url(&format!("postgres://modloop_nobody:x@{place}")).expect("a URL");
    function.context.database = Database::new(settings);
    let report = function.handle(event(&[r#"{"item":"t1_1"}"#, "poison"])).await;
    assert!(report.password_refused());
    assert_eq!(failures(&report), ["m0", "m1"]);
}
