use modloop_store::StoreError;
use modloop_store::models::{ChallengerMode, NewModel, Serving};
use modloop_store::testing::TestDatabase;
use serde_json::json;

pub(crate) fn model(version: &str) -> NewModel {
    NewModel {
        version: version.parse().expect("a version"),
        labels: ["hate", "offensive"].map(|label| label.parse().expect("a label")).to_vec(),
        baseline: json!({"grid": 200, "chunks": []}),
        metrics: json!({"macro_f1": 0.8}),
        bundle_uri: None,
    }
}

#[tokio::test]
async fn a_model_is_registered_once_and_means_the_same_for_good() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    store.register_model(&model("v1")).await.expect("registered");
    store.register_model(&model("v1")).await.expect("the same again");

    let relabeled = NewModel { labels: vec!["spam".parse().expect("a label")], ..model("v1") };
    let error = store.register_model(&relabeled).await.expect_err("another model");
    assert!(matches!(error, StoreError::ModelDiffers { differs: "list of labels", .. }), "{error}");
    let remeasured = NewModel { baseline: json!({"grid": 100}), ..model("v1") };
    assert!(store.register_model(&remeasured).await.expect_err("another").to_string().contains("baseline"));
}

#[tokio::test]
async fn without_aliases_the_shipped_bundle_serves() {
    let database = TestDatabase::create().await;
    assert_eq!(database.store().await.serving().await.expect("reads"), Serving::default());
}

#[tokio::test]
async fn aliases_say_which_model_serves_and_which_is_on_trial() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let uri = "s3://bundles/v2.tar.gz".to_owned();
    store.register_model(&model("v1")).await.expect("registered");
    store
        .register_model(&NewModel { bundle_uri: Some(uri.clone()), ..model("v2") })
        .await
        .expect("registered");
    let switch = "insert into model_aliases (alias, model_id, mode, share)
        select 'champion', id, 'champion', 1 from models where version = 'v2'
        union all select 'challenger', id, 'canary', 0.25 from models where version = 'v1'";
    database.client().await.batch_execute(switch).await.expect("switched");

    let serving = store.serving().await.expect("reads");
    let champion = serving.champion.expect("a champion");
    assert_eq!((champion.version.as_str(), champion.bundle_uri), ("v2", Some(uri)));
    let challenger = serving.challenger.expect("a challenger");
    assert_eq!((challenger.mode, challenger.share.get()), (ChallengerMode::Canary, 0.25));
}
