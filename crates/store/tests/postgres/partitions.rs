use std::time::{Duration, Instant};

use modloop_store::partitions::RetentionStep;

use crate::predictions::{comment, prediction, read, with_comments};

/// Moves items to a week that is long over, with everything that belongs to them.
const LONG_AGO: &str = "
    do $$
    declare
        week date := item_week(now()) - 7 * 20;
        parent text;
    begin
        foreach parent in array array['item_texts', 'predictions', 'decisions'] loop
            execute format('create table %I partition of %I for values in (%L)',
                parent || '_' || to_char(week, 'YYYY_MM_DD'), parent, week);
        end loop;
        update items set part = week;
    end $$";

async fn count(client: &tokio_postgres::Client, table: &str) -> i64 {
    client.query_one(&format!("select count(*) from {table}"), &[]).await.expect(table).get(0)
}

#[tokio::test]
async fn texts_that_nobody_flagged_expire_and_flagged_ones_stay_whole() {
    let (database, store) = with_comments(&["fine", "bad"]).await;
    let items = read(&store, &["t1_1", "t1_2"]).await;
    let batch: Vec<_> = items.iter().zip([0.1, 0.99]).map(|(item, top)| prediction(item, top)).collect();
    store.record_predictions(&batch, None).await.expect("records");
    let client = database.client().await;
    client.batch_execute(LONG_AGO).await.expect("moved");

    let mut steps = Vec::new();
    loop {
        match store.retention_step(90, 365).await.expect("a step") {
            RetentionStep::Done => break,
            step => steps.push(step),
        }
    }
    assert!(
        matches!(
            steps[..],
            [
                RetentionStep::Kept { items: 1 },
                RetentionStep::Dropped { .. },
                RetentionStep::Deleted { items: 1 }
            ]
        ),
        "{steps:?}"
    );
    for table in ["items", "item_texts", "predictions", "decisions", "queue"] {
        assert_eq!(count(&client, table).await, 1, "{table} holds the flagged item");
    }
    // A message that is delivered again after the move writes nothing twice.
    let again = store.record_predictions(&batch[1..], None).await.expect("records");
    assert_eq!((again.inserted, again.known), (0, 1));
    assert_eq!(count(&client, "predictions").await, 1);
}

#[tokio::test]
async fn dropping_a_week_blocks_no_writer_for_long() {
    let (database, store) = with_comments(&["fine"]).await;
    let items = read(&store, &["t1_1"]).await;
    store.record_predictions(&[prediction(&items[0], 0.1)], None).await.expect("records");
    database.client().await.batch_execute(LONG_AGO).await.expect("moved");
    // Somebody reads the week and does not end.
    let reader = database.client().await;
    reader.batch_execute("begin; select count(*) from predictions").await.expect("reads");
    let writer = database.store().await;
    let dropping = async {
        let error = store.retention_step(90, 365).await.expect_err("the table is in use");
        assert!(error.is_retryable() && error.to_string().contains("lock timeout"), "{error}");
    };
    let writing = async {
        // The drop waits for the reader, and the write behind it.
        let waiting = "select count(*) from pg_locks where not granted";
        let observer = database.client().await;
        while observer.query_one(waiting, &[]).await.expect("looks").get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        database.insert_item("rust", "t1_9", &comment("new")).await;
        let new = read(&writer, &["t1_9"]).await;
        writer.record_predictions(&[prediction(&new[0], 0.1)], None).await.expect("records");
        begun.elapsed()
    };
    let ((), waited) = tokio::join!(dropping, writing);
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    reader.batch_execute("commit").await.expect("ends");
    assert!(matches!(store.retention_step(90, 365).await, Ok(RetentionStep::Dropped { .. })));
}

#[tokio::test]
async fn partitions_are_made_ahead_of_time_and_once() {
    let (_database, store) = with_comments(&[]).await;
    assert_eq!(store.weeks_ahead().await.expect("reads"), 8);
    assert_eq!(store.make_partitions(8).await.expect("nothing missing"), 0);
    assert_eq!(store.make_partitions(10).await.expect("made"), 6);
    assert_eq!(store.weeks_ahead().await.expect("reads"), 10);
}
