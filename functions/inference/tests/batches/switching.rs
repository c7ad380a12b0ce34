use std::sync::Arc;
use std::time::Duration;

use modloop_cloud::CloudError;
use modloop_inference::{ModelError, Scorer};
use modloop_store::testing::TestDatabase;

use crate::fixture::{FakeScorer, Fixture, messages};

const URI: &str = "s3://bundles/v2.tar.gz";

async fn point_champion_at(function: &Fixture, version: &str) {
    let sql = "insert into model_aliases (alias, model_id, mode)
        select 'champion', id, 'champion' from models where version = $1
        on conflict (alias) do update set model_id = excluded.model_id";
    function.database.client().await.execute(sql, &[&version]).await.expect("switched");
}

async fn with_second_model(again_after: Duration, bundle_uri: Option<&str>) -> Fixture {
    let database = Arc::new(TestDatabase::create().await);
    database.register_model("v2", bundle_uri).await;
    Fixture::on(database, Arc::new(FakeScorer::new("v1")), again_after).await
}

fn prepare(function: &Fixture, answer: Result<&str, ModelError>) {
    let answer = answer.map(|version| Arc::new(FakeScorer::new(version)) as Arc<dyn Scorer>);
    function.loader.answers.lock().expect("no panic").push_back(answer);
}

fn unavailable() -> ModelError {
    CloudError::Unavailable { what: URI.to_owned(), reason: "no route".to_owned() }.into()
}

/// Scores one more comment and says which model did.
async fn scored_by(function: &Fixture, name: &str) -> String {
    function.comment(name, "fine").await;
    function.handle(messages(&[name])).await;
    let rows = function.predictions().await;
    rows.into_iter().find(|row| row.0 == name).map(|row| row.1).expect("the comment was scored")
}

fn asked(function: &Fixture) -> usize {
    function.loader.asked.lock().expect("no panic").len()
}

#[tokio::test]
async fn the_next_batch_follows_the_alias_and_one_row_rolls_it_back() {
    let function = with_second_model(Duration::from_secs(300), Some(URI)).await;
    assert_eq!(scored_by(&function, "t1_1").await, "v1");
    point_champion_at(&function, "v2").await;
    prepare(&function, Ok("v2"));
    assert_eq!(scored_by(&function, "t1_2").await, "v2");
    assert_eq!(scored_by(&function, "t1_3").await, "v2");

    point_champion_at(&function, "v1").await;
    prepare(&function, Ok("v1"));
    assert_eq!(scored_by(&function, "t1_4").await, "v1");
    let asked = function.loader.asked.lock().expect("no panic").clone();
    assert_eq!(asked, [format!("Stored({URI:?})"), "Shipped".to_owned()]);
}

#[tokio::test]
async fn a_champion_that_cannot_be_loaded_leaves_the_last_good_one_and_is_not_tried_at_once() {
    let function = with_second_model(Duration::from_secs(300), Some(URI)).await;
    point_champion_at(&function, "v2").await;
    prepare(&function, Err(unavailable()));
    for load_failed in [true, false] {
        let report = function.handle(messages(&[])).await;
        let scored = report.outcome.expect("the database answers");
        assert_eq!((scored.model.as_str(), scored.load_failed), ("v1", load_failed));
    }
    assert_eq!(scored_by(&function, "t1_1").await, "v1");
    assert_eq!(asked(&function), 1);
}

#[tokio::test]
async fn a_champion_that_was_repaired_serves_after_a_while() {
    let function = with_second_model(Duration::ZERO, Some(URI)).await;
    point_champion_at(&function, "v2").await;
    prepare(&function, Err(unavailable()));
    prepare(&function, Ok("v2"));
    assert_eq!(scored_by(&function, "t1_1").await, "v1");
    assert_eq!(scored_by(&function, "t1_2").await, "v2");
}

#[tokio::test]
async fn a_bundle_of_another_model_is_refused() {
    let function = with_second_model(Duration::from_secs(300), Some(URI)).await;
    point_champion_at(&function, "v2").await;
    prepare(&function, Ok("v3"));
    assert_eq!(scored_by(&function, "t1_1").await, "v1");
}

#[tokio::test]
async fn a_champion_without_an_address_is_never_asked_for() {
    let function = with_second_model(Duration::from_secs(300), None).await;
    point_champion_at(&function, "v2").await;
    assert_eq!(scored_by(&function, "t1_1").await, "v1");
    assert_eq!(asked(&function), 0);
}
