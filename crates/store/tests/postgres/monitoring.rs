use chrono::{DateTime, TimeDelta, Utc};
use modloop_domain::ItemText;
use modloop_store::testing::TestDatabase;
use modloop_store::{Grid, NewReport, Past, Store, StoreError, Target, Window};
use serde_json::json;

use crate::models::model;

const GRID: Grid<'static> = Grid { cells: 200, length_bounds: &[4, 8, 16] };

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn day(day: u32) -> Window {
    let start = at("2026-11-01T00:00:00Z") + TimeDelta::days(i64::from(day) - 1);
    Window { start, end: start + TimeDelta::days(1) }
}

/// Subreddit `rust` with one item; models `v1` and `v2`.
async fn database() -> (TestDatabase, Store) {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    for version in ["v1", "v2"] {
        store.register_model(&model(version)).await.expect("registered");
    }
    database.insert_item("rust", "t1_1", &ItemText::new(None, "text")).await;
    (database, store)
}

/// `n` predictions by `v1` in `rust`, a second apart from `start` on: scores 0, 1/200, … 1, 0, … and 1/4;
/// lengths 0 to 19 in turn. One item with many texts serves them all.
async fn predict(database: &TestDatabase, start: DateTime<Utc>, n: i64) {
    let predicted = database
        .client()
        .await
        .execute(
            "insert into predictions (fullname, content_hash, model_version, subreddit_id, scores, top_score,
                 entropy, decision, decides, tokens, unknown_tokens, windows, scored_at)
             select 't1_1', sha256(($1::timestamptz::text || n)::bytea), 'v1', (select id from subreddits where name = 'rust'),
                 array[p, 0.25], greatest(p, 0.25), 0.5, 'allow', true, n % 20, n % 2, 1,
                 $1::timestamptz + n * interval '1 millisecond'
             from (select n, ((n % 201) / 200.0)::real as p from generate_series(0, $2::bigint - 1) n) x",
            &[&start, &n],
        )
        .await;
    predicted.expect("predictions");
}

async fn sql(database: &TestDatabase, statements: &str) {
    database.client().await.batch_execute(statements).await.expect(statements);
}

async fn target(store: &Store, window: Window) -> Target {
    let mut targets = store.monitored(window).await.expect("asks");
    assert_eq!(targets.len(), 1, "{targets:?}");
    targets.remove(0)
}

fn report(window: Window, verdict: &'static str, breaches: u32) -> NewReport {
    let summary = format!("{verdict} on day {}", window.start.format("%d"));
    NewReport { window, items: 500, verdict, breaches, summary, statistics: json!({"psi": 0.3}) }
}

#[tokio::test]
async fn hundreds_of_thousands_of_predictions_become_a_few_numbers() {
    let (database, store) = database().await;
    // Checking 600,000 references takes longer than all the rest.
    sql(
        &database,
        "alter table predictions drop constraint predictions_fullname_fkey,
             drop constraint predictions_model_version_fkey, drop constraint predictions_subreddit_id_fkey",
    )
    .await;
    predict(&database, day(1).start, 201_000).await;
    let target = target(&store, day(1)).await;
    let counts = store.window_counts(&target, day(1), GRID).await.expect("counts");

    assert_eq!(counts.items, 201_000);
    assert_eq!(counts.scores[0], vec![1000; 201]);
    assert_eq!((counts.scores[1][50], counts.scores[1].iter().sum::<u64>()), (201_000, 201_000));
    // The higher of both scores: everything below a quarter is lifted to it.
    assert_eq!((counts.top[49], counts.top[50], counts.top[200]), (0, 51_000, 1000));
    assert_eq!((counts.entropy[100], counts.entropy.iter().sum::<u64>()), (201_000, 201_000));
    assert_eq!(counts.lengths, [40_200, 40_200, 80_400, 40_200]);
    assert_eq!((counts.tokens, counts.unknown_tokens), (201_000 / 20 * 190, 100_500));
}

#[tokio::test]
async fn only_what_decided_in_the_window_counts() {
    let (database, store) = database().await;
    predict(&database, day(2).start, 10).await;
    // One at the very end of the window, one just before its start, one in the shadow, one elsewhere.
    sql(
        &database,
        "insert into subreddits (name) values ('cats');
         insert into predictions select fullname, sha256('end'), 'v1', subreddit_id, scores, top_score, entropy,
             decision, true, tokens, unknown_tokens, windows, false, '2026-11-03T00:00:00Z' from predictions limit 1;
         insert into predictions select fullname, sha256('before'), 'v1', subreddit_id, scores, top_score, entropy,
             decision, true, tokens, unknown_tokens, windows, false, '2026-11-01T23:59:59Z' from predictions limit 1;
         insert into predictions select fullname, sha256('shadow'), 'v2', subreddit_id, scores, top_score, entropy,
             decision, false, tokens, unknown_tokens, windows, false, '2026-11-02T01:00:00Z' from predictions limit 1;
         insert into predictions select fullname, sha256('cats'), 'v2', (select id from subreddits where name = 'cats'),
             scores, top_score, entropy, decision, true, tokens, unknown_tokens, windows, false,
             '2026-11-02T01:00:00Z' from predictions limit 1;",
    )
    .await;
    let targets = store.monitored(day(2)).await.expect("asks");
    let names: Vec<_> = targets.iter().map(|t| format!("{} {}", t.subreddit, t.model)).collect();
    assert_eq!(names, ["cats v2", "rust v1"]);
    assert_eq!(store.window_counts(&targets[1], day(2), GRID).await.expect("counts").items, 10);

    sql(&database, "update subreddits set enabled = false where name = 'cats'").await;
    assert_eq!(store.monitored(day(2)).await.expect("asks").len(), 1);
    assert_eq!(store.monitored(day(9)).await.expect("asks"), []);
}

#[tokio::test]
async fn an_empty_window_counts_nothing() {
    let (database, store) = database().await;
    predict(&database, day(1).start, 3).await;
    let target = target(&store, day(1)).await;
    let counts = store.window_counts(&target, day(5), GRID).await.expect("counts");
    assert_eq!((counts.items, counts.scores.len(), counts.top.len()), (0, 2, 201));
}

#[tokio::test]
async fn the_first_predictions_are_a_reference_once_there_are_enough() {
    let (database, store) = database().await;
    predict(&database, day(1).start, 150).await;
    predict(&database, day(3).start, 1000).await;
    let target = target(&store, day(3)).await;
    let first = async |before| store.first_counts(&target, before, (200, 4), GRID).await.expect("counts");

    assert_eq!(first(day(3).start).await, None);
    let chunks = first(day(4).start).await.expect("enough");
    assert_eq!(chunks.iter().map(|chunk| chunk.items).collect::<Vec<_>>(), [50, 50, 50, 50]);
    // In the order of time: scores 0 to 49 are in the first part.
    assert_eq!(chunks[0].scores[0].iter().take(50).sum::<u64>(), 50);
    assert_eq!(chunks[3].scores[0].iter().take(50).sum::<u64>(), 50);
    assert_eq!(chunks[1].scores[0].iter().skip(50).take(50).sum::<u64>(), 50);
}

#[tokio::test]
async fn scores_that_fit_no_label_are_named() {
    let (database, store) = database().await;
    predict(&database, day(1).start, 3).await;
    let target = target(&store, day(1)).await;
    sql(&database, "update predictions set scores = '{0.1, 0.2, 0.3}'").await;
    let error = store.window_counts(&target, day(1), GRID).await.expect_err("three scores for two labels");
    assert!(
        matches!(error, StoreError::Corrupt { .. }) && error.to_string().contains("v1 in r/rust"),
        "{error}"
    );
}

#[tokio::test]
async fn a_person_outranks_an_llm() {
    let (database, store) = database().await;
    predict(&database, day(1).start, 201).await;
    // Text n has score n/200 for hate; 99 and below are predicted not to be.
    let label = |n: i64, value: bool, source: &str| {
        format!(
            "insert into labels (fullname, content_hash, label, value, source) select fullname, content_hash,
                 'hate', {value}, '{source}' from predictions where scores[1] = ({n} / 200.0)::real;"
        )
    };
    let labels = [
        label(150, true, "llm"),
        label(160, false, "llm"),
        label(170, true, "llm"),
        label(170, false, "human"),
        label(20, true, "human"),
        label(20, false, "llm"),
        "insert into labels (fullname, content_hash, label, value, source) values
             ('t1_1', sha256('an older text'), 'hate', true, 'human');
         insert into labels (fullname, content_hash, label, value, source) select fullname, content_hash,
             'spam', true, 'human' from predictions limit 1;"
            .to_owned(),
    ];
    sql(&database, &labels.concat()).await;

    let target = target(&store, day(1)).await;
    let outcomes = store.outcomes(&target, day(1)).await.expect("outcomes");
    let mut seen: Vec<_> =
        outcomes.iter().map(|o| (o.label.as_str(), o.predicted, o.actual, o.items)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [("hate", false, true, 1), ("hate", true, false, 2), ("hate", true, true, 1)]);
}

#[tokio::test]
async fn a_window_is_reported_once() {
    let (database, store) = database().await;
    predict(&database, day(1).start, 3).await;
    let target = target(&store, day(1)).await;
    assert_eq!(store.stored_report(&target, day(1).end).await.expect("asks"), None);
    assert!(store.record_report(&target, &report(day(1), "warning", 1)).await.expect("recorded"));
    assert!(!store.record_report(&target, &report(day(1), "drift", 2)).await.expect("there already"));

    let stored = store.stored_report(&target, day(1).end).await.expect("asks").expect("a report");
    assert_eq!((stored.verdict.as_str(), stored.breaches, stored.items), ("warning", 1, 500));
    assert_eq!((stored.summary.as_str(), stored.statistics), ("warning on day 01", json!({"psi": 0.3})));
    assert_eq!(store.due_requests().await.expect("asks"), [], "the second report opened an episode");
}

#[tokio::test]
async fn the_row_of_breaches_goes_on_from_the_window_before() {
    let (database, store) = database().await;
    predict(&database, day(1).start, 3).await;
    let target = target(&store, day(1)).await;
    let breaches = async |start| store.past(&target, start).await.expect("asks").breaches;

    store.record_report(&target, &report(day(1), "warning", 1)).await.expect("recorded");
    store.record_report(&target, &report(day(2), "warning", 2)).await.expect("recorded");
    assert_eq!((breaches(day(1).start).await, breaches(day(2).start).await), (0, 1));
    assert_eq!(breaches(day(3).start).await, 2);
    // A window that overlaps the second shares items with it, and goes on from the first.
    assert_eq!(breaches(day(3).start - TimeDelta::hours(1)).await, 1);
}

#[tokio::test]
async fn an_episode_is_requested_once_and_ends_when_stable() {
    let (database, store) = database().await;
    predict(&database, day(1).start, 3).await;
    let target = target(&store, day(1)).await;
    let due = async || store.due_requests().await.expect("asks");

    store.record_report(&target, &report(day(1), "drift", 2)).await.expect("recorded");
    store.record_report(&target, &report(day(2), "drift", 3)).await.expect("recorded");
    let requests = due().await;
    assert_eq!(requests.len(), 1, "{requests:?}");
    let request = &requests[0];
    assert_eq!((request.subreddit.as_str(), request.model.as_str()), ("rust", "v1"));
    assert_eq!((request.reason.as_str(), request.window), ("drift on day 01", day(1)));
    assert_eq!(due().await, requests, "due until it is marked");
    store.mark_requested(request.episode).await.expect("marked");
    assert_eq!(due().await, []);

    let past = store.past(&target, day(3).start).await.expect("asks");
    assert_eq!(past, Past { breaches: 3, episode_open: true, last_episode_closed: None });
    store.record_report(&target, &report(day(3), "insufficient", 3)).await.expect("recorded");
    assert!(store.past(&target, day(4).start).await.expect("asks").episode_open);
    store.record_report(&target, &report(day(4), "stable", 0)).await.expect("recorded");
    let past = store.past(&target, day(5).start).await.expect("asks");
    assert_eq!(past, Past { breaches: 0, episode_open: false, last_episode_closed: Some(day(4).end) });

    store.record_report(&target, &report(day(6), "drift", 2)).await.expect("recorded");
    assert_ne!(due().await[0].episode, requests[0].episode);
}

#[tokio::test]
async fn a_stable_successor_ends_the_episode_of_a_model_that_is_gone() {
    let (database, store) = database().await;
    predict(&database, day(1).start, 3).await;
    let old = target(&store, day(1)).await;
    store.record_report(&old, &report(day(1), "drift", 2)).await.expect("recorded");
    sql(
        &database,
        "insert into predictions select fullname, content_hash, 'v2', subreddit_id, scores, top_score, entropy,
             decision, true, tokens, unknown_tokens, windows, false, '2026-11-05T01:00:00Z' from predictions",
    )
    .await;
    let new = target(&store, day(5)).await;
    store.record_report(&new, &report(day(5), "stable", 0)).await.expect("recorded");
    assert!(!store.past(&old, day(6).start).await.expect("asks").episode_open);
    assert_eq!(store.due_requests().await.expect("asks"), []);
}
