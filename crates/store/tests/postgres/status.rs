use modloop_store::status::{DecisionCounts, ModelMode, Totals};
use modloop_store::testing::TestDatabase;

use crate::predictions::{comment, prediction, read, with_comments};

#[tokio::test]
async fn an_empty_database_has_an_empty_status() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let status = store.status().await.expect("reads");
    assert!(status.communities.is_empty() && status.model.is_none() && status.drift.is_empty());
    assert_eq!(store.totals().await.expect("reads"), Totals::default());
}

#[tokio::test]
async fn every_item_is_counted_in_one_place() {
    let (database, store) = with_comments(&["fine", "doubtful", "bad", "deleted", "waiting"]).await;
    let items = read(&store, &["t1_1", "t1_2", "t1_3", "t1_4"]).await;
    let tops = [0.1, 0.6, 0.99, 0.99];
    let batch: Vec<_> = items.iter().zip(tops).map(|(item, top)| prediction(item, top)).collect();
    store.record_predictions(&batch, None).await.expect("records");
    database.delete_text("t1_4").await;
    let stuck = "update items set queue_attempts = 5 where id = 't1_5'";
    database.client().await.batch_execute(stuck).await.expect("stuck");

    let status = store.status().await.expect("reads");
    let rust = &status.communities[0];
    assert_eq!((rust.fetched, rust.waiting, rust.scored, rust.flagged, rust.stuck), (5, 1, 3, 2, 1));
    let decisions = DecisionCounts { allow: 1, review: 1, remove: 1 };
    assert_eq!(rust.deleted, 1);
    store.fold_counts().await.expect("folded");
    assert_eq!(
        store.status().await.expect("reads").communities,
        status.communities,
        "folding changes no sum"
    );
    let totals = Totals { stored: 5, scrubbed: 1, waiting: 1, scored: 3, duplicates: 0, decisions };
    assert_eq!(store.totals().await.expect("reads"), totals);
}

#[tokio::test]
async fn the_decision_on_the_present_text_counts() {
    let (database, store) = with_comments(&["before", "stays"]).await;
    let items = read(&store, &["t1_1", "t1_2"]).await;
    let batch: Vec<_> = items.iter().map(|item| prediction(item, 0.99)).collect();
    store.record_predictions(&batch, None).await.expect("records");
    database.insert_item("rust", "t1_1", &comment("after")).await;
    let edited = read(&store, &["t1_1"]).await;
    store.record_predictions(&[prediction(&edited[0], 0.1)], None).await.expect("records");

    assert_eq!(store.status().await.expect("reads").communities[0].flagged, 1);
    let totals = store.totals().await.expect("reads");
    assert_eq!((totals.scored, totals.decisions), (2, DecisionCounts { allow: 1, review: 0, remove: 1 }));
}

#[tokio::test]
async fn the_model_in_service_and_the_last_verdicts_are_shown() {
    let (database, store) = with_comments(&["hello"]).await;
    let model = store.status().await.expect("reads").model.expect("a model");
    assert_eq!((model.version.as_str(), model.mode), ("v1", ModelMode::Shipped));

    let sql =
        "insert into model_aliases (alias, model_id, mode) select 'champion', id, 'champion' from models;
        insert into drift_reports (community_id, model_id, window_start, window_end, items, verdict,
            summary, statistics)
        select c.id, m.id, now() - n * interval '1 day', now() - n * interval '1 hour', 100,
            case n when 1 then 'drift' else 'stable' end, 'PSI of hate rose to 0.4', '{}'
        from communities c, models m, generate_series(1, 3) n";
    database.client().await.batch_execute(sql).await.expect("reported");
    let status = store.status().await.expect("reads");
    assert_eq!(status.model.expect("a model").mode, ModelMode::Champion);
    assert_eq!(status.drift.len(), 1);
    assert_eq!(
        (status.drift[0].community.to_string().as_str(), status.drift[0].verdict.as_str()),
        ("r/rust", "drift")
    );
    let json = serde_json::to_value(store.status().await.expect("reads")).expect("serialises");
    assert_eq!(json["model"]["mode"], "champion");
}
