use modloop_store::testing::TestDatabase;
use modloop_store::{DecisionCounts, ModelMode, NewPrediction, Totals};

use crate::models::model;
use crate::scoring::{comment, prediction, read, with_comments};

#[tokio::test]
async fn an_empty_database_has_an_empty_status() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let status = store.status().await.expect("reads");
    assert!(status.subreddits.is_empty() && status.model.is_none() && status.drift.is_empty());
    assert_eq!(store.totals().await.expect("reads"), Totals::default());
}

#[tokio::test]
async fn subreddits_are_added_once() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let names = ["Rust", "cats", "rust"].map(|name| name.parse().expect("a name"));
    assert_eq!(store.add_subreddits(&names).await.expect("adds"), 2);
    assert_eq!(store.add_subreddits(&names).await.expect("adds"), 0);
    let listed = store.status().await.expect("reads").subreddits;
    assert_eq!(listed.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["cats", "rust"]);
}

#[tokio::test]
async fn every_item_is_counted_in_one_place() {
    let (database, store) = with_comments(&["fine", "doubtful", "bad", "deleted", "waiting"]).await;
    let items = read(&store, &["t1_1", "t1_2", "t1_3", "t1_4"]).await;
    let tops = [0.1, 0.6, 0.99, 0.99];
    let batch: Vec<_> = items.iter().zip(tops).map(|(item, top)| prediction(item, top)).collect();
    store.record_predictions(&batch).await.expect("records");
    database.scrub_item("t1_4").await;
    let stuck = "update items set queue_attempts = 5 where fullname = 't1_5'";
    database.client().await.batch_execute(stuck).await.expect("stuck");

    let status = store.status().await.expect("reads");
    let rust = &status.subreddits[0];
    assert_eq!((rust.fetched, rust.waiting, rust.scored, rust.flagged, rust.stuck), (5, 1, 3, 2, 1));
    let decisions = DecisionCounts { allow: 1, review: 1, remove: 1 };
    let totals = Totals { stored: 5, scrubbed: 1, waiting: 1, scored: 3, duplicates: 0, decisions };
    assert_eq!(store.totals().await.expect("reads"), totals);
}

#[tokio::test]
async fn the_latest_deciding_prediction_of_the_present_text_counts() {
    let (database, store) = with_comments(&["before", "rescored"]).await;
    store.register_model(&model("v2")).await.expect("registered");
    let items = read(&store, &["t1_1", "t1_2"]).await;
    let batch: Vec<_> = items.iter().map(|item| prediction(item, 0.99)).collect();
    store.record_predictions(&batch).await.expect("records");
    // The first is edited into something harmless, the second judged milder by the next model.
    database.insert_item("rust", "t1_1", &comment("after")).await;
    let edited = read(&store, &["t1_1"]).await;
    database.insert_item("rust", "t1_2", &comment("rescored")).await;
    let next =
        NewPrediction { model_version: "v2".parse().expect("a version"), ..prediction(&items[1], 0.1) };
    store.record_predictions(&[prediction(&edited[0], 0.1), next]).await.expect("records");

    assert_eq!(store.status().await.expect("reads").subreddits[0].flagged, 0);
    let totals = store.totals().await.expect("reads");
    assert_eq!((totals.scored, totals.decisions), (2, DecisionCounts { allow: 2, review: 0, remove: 0 }));
}

#[tokio::test]
async fn the_model_in_service_and_the_last_verdicts_are_shown() {
    let (database, store) = with_comments(&["hello"]).await;
    let model = store.status().await.expect("reads").model.expect("a model");
    assert_eq!((model.version.as_str(), model.mode), ("v1", ModelMode::Shipped));

    let sql = "insert into model_aliases (alias, model_version, mode) values ('champion', 'v1', 'champion');
        insert into drift_reports (subreddit_id, model_version, window_start, window_end, items, verdict,
            summary, statistics)
        select id, 'v1', now() - n * interval '1 day', now() - n * interval '1 hour', 100,
            case n when 1 then 'drift' else 'stable' end, 'PSI of hate rose to 0.4', '{}'
        from subreddits, generate_series(1, 3) n";
    database.client().await.batch_execute(sql).await.expect("reported");
    let status = store.status().await.expect("reads");
    assert_eq!(status.model.expect("a model").mode, ModelMode::Champion);
    assert_eq!(status.drift.len(), 1);
    assert_eq!((status.drift[0].subreddit.as_str(), status.drift[0].verdict.as_str()), ("rust", "drift"));
    let json = serde_json::to_value(store.status().await.expect("reads")).expect("serialises");
    assert_eq!(json["model"]["mode"], "champion");
}
