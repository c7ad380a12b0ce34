use modloop_domain::{Actor, Community, Decision, ItemText, Probability, Thresholds};
use modloop_store::Store;
use modloop_store::predictions::{ItemToScore, NewPrediction, Recorded};
use modloop_store::queue::Cursor;
use modloop_store::testing::TestDatabase;

use crate::models::model;

pub(crate) fn comment(body: &str) -> ItemText {
    ItemText::new(None, body)
}

fn p(value: f32) -> Probability {
    Probability::new(value).expect("a probability")
}

pub(crate) fn prediction(item: &ItemToScore, top: f32) -> NewPrediction {
    NewPrediction {
        id: item.id.clone(),
        content_hash: item.content_hash,
        model: "v1".parse().expect("a version"),
        scores: vec![p(top), p(0.1)],
        decision: item.thresholds.all.decide(p(top)),
        label: Some("hate".parse().expect("a label")),
        flagged_labels: Vec::new(),
        policy_id: item.policy_id,
        decides: true,
        tokens: 7,
        unknown_tokens: 1,
        windows: 1,
        read_whole: true,
    }
}

/// A database with a registered model and these comments, named t1_1, t1_2, …
pub(crate) async fn with_comments(bodies: &[&str]) -> (TestDatabase, Store) {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    store.register_model(&model("v1")).await.expect("registered");
    for (n, body) in bodies.iter().enumerate() {
        database.insert_item("rust", &format!("t1_{}", n + 1), &comment(body)).await;
    }
    (database, store)
}

pub(crate) async fn read(store: &Store, names: &[&str]) -> Vec<ItemToScore> {
    let names: Vec<_> = names.iter().map(|name| name.parse().expect("an id")).collect();
    let mut items = store.items_to_score(&names).await.expect("reads");
    items.sort_by(|a, b| a.id.cmp(&b.id));
    items
}

async fn rows(database: &TestDatabase) -> i64 {
    database.client().await.query_one("select count(*) from predictions", &[]).await.expect("counts").get(0)
}

const ONE_NEW: Recorded = Recorded { inserted: 1, known: 0, superseded: 0 };

#[tokio::test]
async fn texts_come_with_hash_and_the_thresholds_of_their_community() {
    let (database, store) = with_comments(&[]).await;
    let image = ItemText::new(Some("Only an image"), "");
    database.insert_item("rust", "t3_1", &image).await;
    database.insert_item("cats", "t3_2", &ItemText::new(Some("Title"), "Body")).await;
    let cats = "cats".parse().expect("a name");
    let stricter = Thresholds::new(p(0.2), p(0.95)).expect("in order").into();
    store.set_thresholds(&Actor::local("test"), &cats, &stricter).await.expect("stricter");

    let items = read(&store, &["t3_1", "t3_2", "t3_never"]).await;
    assert_eq!(items.len(), 2);
    assert_eq!(
        (items[0].text.scored().as_str(), items[0].content_hash),
        ("Only an image", image.content_hash(store.hash_key().await.expect("a key")))
    );
    assert_eq!(items[1].text.scored(), "Title\n\nBody");
    let decisions: Vec<_> = items.iter().map(|item| item.thresholds.all.decide(p(0.3))).collect();
    assert_eq!(decisions, [Decision::Allow, Decision::Review]);
}

#[tokio::test]
async fn a_scored_item_is_settled_and_every_number_arrives() {
    let (database, store) = with_comments(&["hello"]).await;
    assert!(store.oldest_unscored().await.expect("asks").is_some());
    let items = read(&store, &["t1_1"]).await;
    assert_eq!(
        store.record_predictions(&[prediction(&items[0], 0.97)], None).await.expect("records"),
        ONE_NEW
    );

    assert_eq!(read(&store, &["t1_1"]).await, []);
    assert_eq!(store.oldest_unscored().await.expect("asks"), None);
    let row = database.client().await.query_one("select * from predictions", &[]).await.expect("one row");
    assert_eq!(row.get::<_, Vec<f32>>("scores"), [0.97, 0.1]);
    let hash = comment("hello").content_hash(store.hash_key().await.expect("a key"));
    assert_eq!(row.get::<_, &[u8]>("content_hash"), hash.as_bytes());
    assert!(row.get::<_, bool>("decides") && row.get::<_, bool>("read_whole"));
    assert_eq!((row.get::<_, i32>("tokens"), row.get::<_, i32>("unknown_tokens")), (7, 1));
}

#[tokio::test]
async fn delivered_twice_counts_once() {
    let (database, store) = with_comments(&["hello"]).await;
    let items = read(&store, &["t1_1"]).await;
    let batch = [prediction(&items[0], 0.2)];
    assert_eq!(store.record_predictions(&batch, None).await.expect("records"), ONE_NEW);
    let again = store.record_predictions(&batch, None).await.expect("records again");
    assert_eq!(again, Recorded { known: 1, ..Recorded::default() });
    assert_eq!(rows(&database).await, 1);
}

#[tokio::test]
async fn two_functions_with_the_same_items_in_another_order_finish_and_count_once() {
    let bodies: Vec<String> = (0..50).map(|n| format!("comment {n}")).collect();
    let (database, one) = with_comments(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let two = database.store().await;
    let names: Vec<String> = (1..=50).map(|n| format!("t1_{n}")).collect();
    let items = read(&one, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let forwards: Vec<_> = items.iter().map(|item| prediction(item, 0.2)).collect();
    let backwards: Vec<_> = forwards.iter().rev().cloned().collect();
    let (first, second) =
        tokio::join!(one.record_predictions(&forwards, None), two.record_predictions(&backwards, None));
    let (first, second) = (first.expect("records"), second.expect("records"));
    assert_eq!((first.inserted + second.inserted, first.known + second.known), (50, 50));
    assert_eq!(rows(&database).await, 50);
}

#[tokio::test]
async fn an_item_edited_between_reading_and_writing_stays_due() {
    let (database, store) = with_comments(&["before", "other"]).await;
    let items = read(&store, &["t1_1", "t1_2"]).await;
    database.insert_item("rust", "t1_1", &comment("after")).await;
    let batch: Vec<_> = items.iter().map(|item| prediction(item, 0.2)).collect();
    let recorded = store.record_predictions(&batch, None).await.expect("records");
    assert_eq!(recorded, Recorded { inserted: 1, known: 0, superseded: 1 });
    let due = read(&store, &["t1_1", "t1_2"]).await;
    assert_eq!(due.iter().map(|item| item.text.body()).collect::<Vec<_>>(), ["after"]);
}

#[tokio::test]
async fn an_edit_that_commits_while_the_write_waits_for_it_stays_due() {
    let (database, store) = with_comments(&["before"]).await;
    let items = read(&store, &["t1_1"]).await;
    let editor = database.client().await;
    editor
        .batch_execute(
            "begin; update items set content_hash = substr(sha256('after'), 1, 16), pending_since = now();
             update item_texts set body = 'after'",
        )
        .await
        .expect("edits");
    let batch = [prediction(&items[0], 0.2)];
    let observer = database.client().await;
    let (recorded, ()) = tokio::join!(store.record_predictions(&batch, None), async {
        // Commit once the write is seen waiting for the row.
        let waiting = "select count(*) from pg_locks where not granted";
        while observer.query_one(waiting, &[]).await.expect("looks").get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
        editor.batch_execute("commit").await.expect("commits");
    });
    assert_eq!(recorded.expect("records").superseded, 1);
    assert_eq!(read(&store, &["t1_1"]).await[0].text.body(), "after");
}

#[tokio::test]
async fn an_item_scrubbed_meanwhile_gets_no_row_and_fails_nobody() {
    let (database, store) = with_comments(&["deleted soon", "stays"]).await;
    let items = read(&store, &["t1_1", "t1_2"]).await;
    database.delete_text("t1_1").await;
    let batch: Vec<_> = items.iter().map(|item| prediction(item, 0.2)).collect();
    let recorded = store.record_predictions(&batch, None).await.expect("records");
    assert_eq!(recorded, Recorded { inserted: 1, known: 0, superseded: 1 });
    assert_eq!(read(&store, &["t1_1", "t1_2"]).await, []);
    assert_eq!(rows(&database).await, 1);
}

#[tokio::test]
async fn a_shadow_score_settles_nothing() {
    let (database, store) = with_comments(&["hello"]).await;
    let items = read(&store, &["t1_1"]).await;
    let shadow = NewPrediction { decides: false, ..prediction(&items[0], 0.9) };
    assert_eq!(store.record_predictions(&[shadow], None).await.expect("records"), Recorded::default());
    assert_eq!((read(&store, &["t1_1"]).await.len(), rows(&database).await), (1, 1));
}

#[tokio::test]
async fn of_two_models_that_meant_to_decide_in_a_switch_the_first_decides() {
    let (database, store) = with_comments(&["hello"]).await;
    store.register_model(&model("v2")).await.expect("registered");
    let items = read(&store, &["t1_1"]).await;
    let second = NewPrediction { model: "v2".parse().expect("a version"), ..prediction(&items[0], 0.9) };
    assert_eq!(
        store.record_predictions(&[prediction(&items[0], 0.1)], None).await.expect("records"),
        ONE_NEW
    );
    let late = store.record_predictions(&[second], None).await.expect("records");
    assert_eq!(late, Recorded { inserted: 0, known: 1, superseded: 0 });
    let sql = "select m.version from predictions p join models m on m.id = p.model_id where decides";
    let deciding = database.client().await.query(sql, &[]).await.expect("reads");
    assert_eq!(deciding.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["v1"]);
}

#[tokio::test]
async fn a_failed_write_says_what_failed_and_quotes_no_row() {
    let (_database, store) = with_comments(&["hello"]).await;
    let items = read(&store, &["t1_1"]).await;
    let unknown = NewPrediction { policy_id: 999, ..prediction(&items[0], 0.2) };
    let error = store.record_predictions(&[unknown], None).await.expect_err("no such policy");
    let words = format!("{error} {error:?}");
    assert!(words.contains("recording predictions failed") && words.contains("policy_id_fkey"), "{words}");
    assert!(!error.is_retryable() && !words.contains("Key ("), "{words}");
}

#[tokio::test]
async fn flagged_items_are_listed_by_harm_and_leave_when_an_edit_makes_them_harmless() {
    let (database, store) = with_comments(&["fine", "doubtful", "bad"]).await;
    let items = read(&store, &["t1_1", "t1_2", "t1_3"]).await;
    let batch: Vec<_> = items.iter().zip([0.1, 0.6, 0.99]).map(|(item, top)| prediction(item, top)).collect();
    store.record_predictions(&batch, None).await.expect("records");
    let ids = async |after: Option<&Cursor>, limit| {
        let page = store.flagged(None, after, limit).await.expect("a page");
        page.into_iter().map(|row| (row.item.to_string(), row.priority)).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 10).await, [("t1_3".to_owned(), 0.99), ("t1_2".to_owned(), 0.6)]);
    let cursor = Cursor { priority: 0.99, item: "t1_3".parse().expect("an id") };
    assert_eq!(ids(Some(&cursor), 10).await, [("t1_2".to_owned(), 0.6)]);

    database.insert_item("rust", "t1_3", &comment("I take it back")).await;
    let edited = read(&store, &["t1_3"]).await;
    store.record_predictions(&[prediction(&edited[0], 0.1)], None).await.expect("records");
    assert_eq!(ids(None, 1).await, [("t1_2".to_owned(), 0.6)]);
    database.delete_text("t1_2").await;
    assert_eq!(ids(None, 10).await, []);
}

#[tokio::test]
async fn what_is_not_live_is_scored_and_enters_neither_queue_nor_counts() {
    let (database, store) = with_comments(&["bad"]).await;
    database.client().await.batch_execute("update items set live = false").await.expect("imported");
    let items = read(&store, &["t1_1"]).await;
    assert_eq!(
        store.record_predictions(&[prediction(&items[0], 0.99)], None).await.expect("records"),
        ONE_NEW
    );
    assert!(store.flagged(None, None, 10).await.expect("a page").is_empty());
    let scored: i64 = database
        .client()
        .await
        .query_one("select coalesce(sum(scored), 0)::bigint from count_deltas", &[])
        .await
        .expect("counts")
        .get(0);
    assert_eq!(scored, 0);
}

#[tokio::test]
async fn a_decision_is_replayed_from_its_row_to_the_same_bits() {
    let (_database, store) = with_comments(&["one", "two", "three", "four"]).await;
    let rust: Community = "rust".parse().expect("a name");
    let labels = store.model_labels(&"v1".parse().expect("a version")).await.expect("labels");
    for (name, review, remove, score) in [
        ("t1_1", 0.1, 0.3, 0.3),
        ("t1_2", 0.333_333_34, 0.95, 0.333_333_34),
        ("t1_3", 0.7, 0.700_000_1, 0.7),
        ("t1_4", 0.0, 1.0, 1.0),
    ] {
        let thresholds = Thresholds::new(p(review), p(remove)).expect("in order").into();
        store.set_thresholds(&Actor::local("test"), &rust, &thresholds).await.expect("set");
        let items = read(&store, &[name]).await;
        let scores = [p(score), p(score / 3.0)];
        let judged = items[0].thresholds.judge(&labels, &scores);
        let prediction = NewPrediction {
            scores: scores.to_vec(),
            decision: judged.decision,
            label: judged.label.clone(),
            ..prediction(&items[0], score)
        };
        store.record_predictions(&[prediction], None).await.expect("records");
        // Thresholds of later change nothing about what was decided.
        let later = Thresholds::new(p(0.99), p(0.999)).expect("in order").into();
        store.set_thresholds(&Actor::local("test"), &rust, &later).await.expect("set");
        let stored = store.decisions(&items[0].id).await.expect("reads").remove(0);
        assert_eq!(stored.scores, scores);
        assert_eq!(stored.thresholds.all, Thresholds::new(p(review), p(remove)).expect("in order"));
        assert_eq!((stored.decision, stored.label.clone()), (judged.decision, judged.label.clone()));
        assert_eq!(stored.replay(), judged);
    }
}

#[tokio::test]
async fn hostile_text_is_stored_and_read_as_it_is() {
    let long = "😀é".repeat(20_000);
    let bodies = ["\u{202e}right to left\u{200f}", "'; drop table items; --", "a\0b", "\\x00 %s $1", &long];
    let (_database, store) = with_comments(&bodies).await;
    let items = read(&store, &["t1_1", "t1_2", "t1_3", "t1_4", "t1_5"]).await;
    for (item, body) in items.iter().zip(bodies) {
        assert_eq!(item.text, comment(body));
        assert_eq!(item.content_hash, item.text.content_hash(store.hash_key().await.expect("a key")));
    }
    // NUL, which Postgres cannot store, is gone before it gets there.
    assert_eq!(items[2].text.body(), "a\u{fffd}b");
}

#[tokio::test]
async fn what_each_model_flags_can_be_compared() {
    let (database, store) = with_comments(&["one", "two"]).await;
    store.register_model(&model("v2")).await.expect("registered");
    let items = read(&store, &["t1_1", "t1_2"]).await;
    let shadow = NewPrediction {
        model: "v2".parse().expect("a version"),
        decides: false,
        ..prediction(&items[0], 0.1)
    };
    store.record_predictions(&[prediction(&items[0], 0.99), shadow], None).await.expect("recorded");
    let names: Vec<_> = items.iter().map(|item| item.id.clone()).collect();
    for (version, expected) in [("v1", Some(true)), ("v2", Some(false)), ("v3", None)] {
        let found = store.flagged_by(&version.parse().expect("a version"), &names).await.expect("reads");
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            Vec::from_iter(expected.map(|f| (names[0].clone(), f)))
        );
    }
    drop(database);
}
