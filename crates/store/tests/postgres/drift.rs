use chrono::{DateTime, TimeDelta, Utc};
use modloop_domain::DriftVerdict;
use modloop_store::Store;
use modloop_store::drift::{Closing, Counts, Grid, NewReport, Pair, Window};
use modloop_store::testing::TestDatabase;
use serde_json::json;

use crate::predictions::{prediction, read, with_comments};

const GRID: Grid<'static> = Grid { cells: 10, length_bounds: &[4, 8] };

fn hour(hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_400 + hour * 3600 - 1_700_000_400 % 3600, 0).expect("a time")
}

/// Scores these comments, each at its hour.
async fn scored(tops: &[(f32, i64)]) -> (TestDatabase, Store) {
    let bodies: Vec<String> = (0..tops.len()).map(|n| format!("comment {n}")).collect();
    let (database, store) = with_comments(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for (n, (top, at)) in tops.iter().enumerate() {
        let name = format!("t1_{}", n + 1);
        let items = read(&store, &[&name]).await;
        store.record_predictions(&[prediction(&items[0], *top)], None).await.expect("records");
        let moment = hour(*at) + TimeDelta::minutes(7);
        let client = database.client().await;
        client
            .execute("update predictions set scored_at = $2 where item_id = $1", &[&name, &moment])
            .await
            .expect("dated");
        client
            .execute("update decisions set at = $2 where item_id = $1", &[&name, &moment])
            .await
            .expect("dated");
    }
    (database, store)
}

async fn close_all(store: &Store, until: DateTime<Utc>) -> usize {
    let mut closed = 0;
    while let Closing::Closed(_) =
        store.close_next_bucket(until, TimeDelta::hours(1), GRID).await.expect("closes")
    {
        closed += 1;
        assert!(closed < 100, "it does not end");
    }
    closed
}

fn only(counts: std::collections::BTreeMap<Pair, Counts>) -> Counts {
    assert_eq!(counts.len(), 1, "{counts:?}");
    counts.into_values().next().expect("one")
}

#[tokio::test]
async fn buckets_hold_what_the_predictions_hold() {
    let (database, store) = scored(&[(0.1, 0), (0.96, 0), (0.55, 2), (0.1, 5)]).await;
    assert!(close_all(&store, hour(5)).await >= 2, "the hour that is not over stays open");
    let window = Window { start: hour(0), end: hour(3) };
    let from_buckets = only(store.read_window(window, GRID).await.expect("reads"));
    let from_rows = only(store.count_window(window, GRID).await.expect("counts"));
    assert_eq!(from_buckets, from_rows);
    assert_eq!((from_buckets.items, from_buckets.tokens, from_buckets.unknown_tokens), (3, 21, 3));
    assert_eq!(from_buckets.lengths, [0, 3, 0]);
    assert_eq!((from_buckets.top[1], from_buckets.top[10], from_buckets.top[6]), (1, 1, 1));
    assert_eq!(from_buckets.scores.len(), 2);

    // They are written once, and outlive the rows.
    let sql = "select sum(flagged)::bigint from score_buckets";
    let flagged: i64 = database.client().await.query_one(sql, &[]).await.expect("counts").get(0);
    assert_eq!(flagged, 2);
    database.client().await.batch_execute("delete from predictions").await.expect("gone");
    assert_eq!(only(store.read_window(window, GRID).await.expect("reads")), from_buckets);
}

#[tokio::test]
async fn two_monitors_that_close_at_once_count_once() {
    let (database, store) = scored(&[(0.1, 0), (0.2, 1), (0.3, 1)]).await;
    let other = database.store().await;
    tokio::join!(close_all(&store, hour(4)), close_all(&other, hour(4)));
    let window = Window { start: hour(0), end: hour(4) };
    assert_eq!(only(store.read_window(window, GRID).await.expect("reads")).items, 3);
}

#[tokio::test]
async fn shadow_scores_and_imported_items_are_not_counted() {
    let (database, store) = scored(&[(0.1, 0), (0.2, 0), (0.3, 0)]).await;
    let change = "update predictions set decides = false where item_id = 't1_1';
        update predictions set live = false where item_id = 't1_2'";
    database.client().await.batch_execute(change).await.expect("changed");
    close_all(&store, hour(2)).await;
    let window = Window { start: hour(0), end: hour(2) };
    assert_eq!(only(store.read_window(window, GRID).await.expect("reads")).items, 1);
    assert_eq!(only(store.count_window(window, GRID).await.expect("counts")).items, 1);
}

#[tokio::test]
async fn a_reference_is_the_first_items_in_parts_and_is_stored_once() {
    let (_database, store) = scored(&[(0.1, 0), (0.2, 0), (0.3, 1), (0.4, 1), (0.9, 3)]).await;
    close_all(&store, hour(4)).await;
    let pairs = [Pair { community: 1, model: 1 }];
    assert!(store.complete_references(&pairs, 6, hour(4)).await.expect("reads").is_empty(), "too few");
    let complete = store.complete_references(&pairs, 4, hour(4)).await.expect("reads");
    let before = complete[&pairs[0]];
    assert!(before > hour(1) && before <= hour(3), "{before}");
    let counts = store.first_counts(pairs[0], before, (4, 2), GRID).await.expect("counts").expect("enough");
    let tops: Vec<Vec<usize>> = counts
        .iter()
        .map(|part| part.top.iter().enumerate().filter(|(_, n)| **n > 0).map(|(cell, _)| cell).collect())
        .collect();
    assert_eq!(tops, [[1, 2], [3, 4]]);
    for chunks in [json!([1]), json!([2])] {
        store.save_reference(pairs[0], &chunks, before).await.expect("stored");
    }
    let stored = store.references(&pairs, before + TimeDelta::seconds(1)).await.expect("reads");
    assert_eq!(stored[&pairs[0]], json!([1]));
    assert!(store.references(&pairs, before).await.expect("reads").is_empty(), "not before its own items");
}

fn report(verdict: DriftVerdict) -> NewReport {
    NewReport {
        pair: Pair { community: 1, model: 1 },
        items: 500,
        verdict,
        breaches: 2,
        summary: "PSI of hate rose".into(),
        statistics: json!({}),
    }
}

#[tokio::test]
async fn an_episode_opens_once_is_requested_once_and_closes_when_stable() {
    let (_database, store) = scored(&[(0.1, 0)]).await;
    let pair = Pair { community: 1, model: 1 };
    let window = |n| Window { start: hour(n), end: hour(n + 1) };
    let record =
        async |n, verdict| store.record_reports(window(n), &[report(verdict)]).await.expect("stored");
    assert_eq!(record(0, DriftVerdict::Drift).await, [pair].into());
    assert!(record(0, DriftVerdict::Stable).await.is_empty(), "the first report on a window stays");
    assert_eq!(store.stored_reports(hour(1)).await.expect("reads")[&pair].verdict, DriftVerdict::Drift);
    record(1, DriftVerdict::Drift).await;
    let due = store.due_requests().await.expect("reads");
    assert_eq!(
        (due.len(), due[0].window_end, due[0].community.to_string()),
        (1, hour(1), "r/rust".to_owned())
    );
    let past = store.past(&[pair], hour(2)).await.expect("reads")[&pair];
    assert_eq!((past.breaches, past.episode_open), (2, true));

    store.mark_requested(due[0].episode).await.expect("marked");
    assert!(store.due_requests().await.expect("reads").is_empty());
    record(2, DriftVerdict::Stable).await;
    let past = store.past(&[pair], hour(3)).await.expect("reads")[&pair];
    assert_eq!((past.episode_open, past.last_episode_closed), (false, Some(hour(3))));
}
