use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use modloop_domain::{Fullname, Item, ItemKind, ItemText, SubredditName};
use modloop_store::testing::TestDatabase;
use modloop_store::{Feed, Gap, Mark, STUCK_AFTER, ScrubReason, Store, Stored};

fn rust() -> SubredditName {
    "rust".parse().expect("a name")
}

fn name(text: &str) -> Fullname {
    text.parse().expect("a fullname")
}

fn moment(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000 + seconds, 0).expect("a time")
}

fn item(fullname: &str, body: &str) -> Item {
    Item {
        fullname: name(fullname),
        subreddit: rust(),
        author: Some("ada".into()),
        text: ItemText::new(None, body),
        permalink: format!("/r/rust/comments/1/_/{fullname}/"),
        created_at: moment(0),
        edited_at: None,
    }
}

async fn with_rust() -> (TestDatabase, Store) {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    store.add_subreddits(&[rust()]).await.expect("added");
    (database, store)
}

async fn sql(database: &TestDatabase, statement: &str) {
    database.client().await.batch_execute(statement).await.expect(statement);
}

async fn count(database: &TestDatabase, condition: &str) -> i64 {
    let sql = format!("select count(*) from items where {condition}");
    database.client().await.query_one_scalar(&sql, &[]).await.expect("a count")
}

async fn due(store: &Store) -> Vec<Fullname> {
    store.due_again(100, Duration::from_secs(600)).await.expect("due")
}

#[tokio::test]
async fn new_edited_and_unchanged_are_told_apart() {
    let (database, store) = with_rust().await;
    let first = store.store_items(&[item("t1_1", "one"), item("t1_2", "two")]).await.expect("stored");
    assert_eq!(first.new, [name("t1_1"), name("t1_2")]);
    assert_eq!((first.edited.len(), first.unchanged), (0, 0));

    store.mark_queued(&first.to_score()).await.expect("marked");
    sql(&database, "update items set pending_since = null").await;
    let second =
        store.store_items(&[item("t1_1", "one, edited"), item("t1_2", "two")]).await.expect("stored");
    assert_eq!(second, Stored { edited: vec![name("t1_1")], unchanged: 1, ..Stored::default() });
    assert_eq!(
        count(&database, "pending_since is not null and queued_at is null and queue_attempts = 0").await,
        1
    );
    assert_eq!(due(&store).await, [name("t1_1")]);
}

#[tokio::test]
async fn a_page_that_shows_an_item_twice_or_a_strange_subreddit_is_stored() {
    let (database, store) = with_rust().await;
    let strange = Item { subreddit: "cooking".parse().expect("a name"), ..item("t1_3", "x") };
    let stored = store.store_items(&[item("t1_1", "a"), item("t1_1", "a"), strange]).await.expect("stored");
    assert_eq!(stored.new, [name("t1_1")]);
    assert_eq!(store.store_items(&[]).await.expect("nothing to do"), Stored::default());
    assert_eq!(count(&database, "true").await, 1);
}

#[tokio::test]
async fn awkward_text_is_stored_as_it_is() {
    let (database, store) = with_rust().await;
    let text = ItemText::new(Some("\u{202e}ltr 😀"), &format!("nul \0, \\u0000, {}", "x".repeat(40_000)));
    let hash = text.content_hash();
    let author = Some("a\0b".to_owned());
    store.store_items(&[Item { text, author, ..item("t3_1", "") }]).await.expect("stored");
    let row = database.client().await.query_one("select title, body, content_hash from items", &[]).await;
    let row = row.expect("the item");
    let read = ItemText::new(row.get("title"), row.get("body"));
    assert_eq!((read.content_hash(), row.get::<_, &[u8]>("content_hash")), (hash, hash.as_bytes()));
}

#[tokio::test]
async fn an_author_who_leaves_is_forgotten() {
    let (database, store) = with_rust().await;
    store.store_items(&[item("t1_1", "one")]).await.expect("stored");
    store.store_items(&[Item { author: None, ..item("t1_1", "one") }]).await.expect("stored");
    assert_eq!(count(&database, "author is null and body = 'one'").await, 1);
}

#[tokio::test]
async fn scrubbed_items_lose_text_author_and_their_place_in_the_line() {
    let (database, store) = with_rust().await;
    store.store_items(&[item("t1_1", "one"), item("t1_2", "two")]).await.expect("stored");
    let names = [name("t1_1"), name("t1_9")];
    assert_eq!(store.scrub(&names, ScrubReason::Removed).await.expect("scrubbed"), 1);
    assert_eq!(store.scrub(&names, ScrubReason::Deleted).await.expect("again"), 0);
    assert_eq!(
        count(&database, "scrub_reason = 'removed' and num_nonnulls(author, body, edited_at) = 0").await,
        1
    );
    assert_eq!(due(&store).await, [name("t1_2")]);
    assert_eq!(store.due_for_check(10, Utc::now() + TimeDelta::hours(1)).await.expect("due"), [name("t1_2")]);
}

#[tokio::test]
async fn what_its_author_deleted_stays_gone_and_the_rest_may_come_back() {
    let (_database, store) = with_rust().await;
    let items = [item("t1_1", "one"), item("t1_2", "two"), item("t1_3", "three")];
    store.store_items(&items).await.expect("stored");
    for (fullname, reason) in
        [("t1_1", ScrubReason::Deleted), ("t1_2", ScrubReason::Removed), ("t1_3", ScrubReason::Absent)]
    {
        store.scrub(&[name(fullname)], reason).await.expect("scrubbed");
    }
    let stored = store.store_items(&items).await.expect("stored");
    assert_eq!(stored, Stored { restored: vec![name("t1_2"), name("t1_3")], ..Stored::default() });
    assert_eq!(due(&store).await, [name("t1_2"), name("t1_3")]);
}

#[tokio::test]
async fn what_came_to_nothing_is_due_again_ever_more_seldom() {
    let (database, store) = with_rust().await;
    store.store_items(&[item("t1_1", "one")]).await.expect("stored");
    for (attempts, minutes) in [(1, 10), (2, 20), (3, 40), (4, 80), (5, 1440), (60, 1440)] {
        store.mark_queued(&[name("t1_1")]).await.expect("marked");
        for (ago, expected) in [(minutes - 1, 0), (minutes + 1, 1)] {
            let change = format!(
                "update items set queue_attempts = {attempts}, queued_at = now() - interval '{ago} minutes'"
            );
            sql(&database, &change).await;
            assert_eq!(due(&store).await.len(), expected, "attempt {attempts}, {ago} minutes ago");
        }
    }
    let status = store.status().await.expect("a status");
    assert_eq!(status.subreddits[0].stuck, 1, "stuck after {STUCK_AFTER} attempts");
}

#[tokio::test]
async fn the_longest_unchecked_are_checked_first() {
    let (database, store) = with_rust().await;
    store.store_items(&[item("t1_1", "a"), item("t1_2", "b"), item("t1_3", "c")]).await.expect("stored");
    sql(&database, "update items set checked_at = now() - interval '1 hour' where fullname = 't1_2'").await;
    sql(&database, "update items set checked_at = now() - interval '2 hours' where fullname = 't1_3'").await;
    let now = store.now().await.expect("a clock");
    let an_hour_ago = now - TimeDelta::minutes(30);
    let oldest = |limit| store.due_for_check(limit, an_hour_ago);
    assert_eq!(oldest(10).await.expect("due"), [name("t1_3"), name("t1_2")]);
    assert_eq!(oldest(1).await.expect("due"), [name("t1_3")]);
    store.mark_checked(&[name("t1_3")]).await.expect("marked");
    store.store_items(&[item("t1_2", "b")]).await.expect("seen again");
    assert_eq!(oldest(10).await.expect("due"), []);
}

#[tokio::test]
async fn a_watermark_moves_once_the_gap_is_closed_and_never_back() {
    let (_database, store) = with_rust().await;
    let (subreddit, kind) = (rust(), ItemKind::Comment);
    let mark = |item: &str, seconds| Mark { item: name(item), created_at: moment(seconds) };
    let feed = || async { store.feed(&subreddit, kind).await.expect("a feed") };
    assert_eq!(feed().await, Feed::default());

    let gap = Gap { cursor: name("t1_5"), top: mark("t1_9", 9) };
    store.save_gap(&subreddit, kind, &gap).await.expect("saved");
    assert_eq!(feed().await, Feed { watermark: None, gap: Some(gap) });

    store.advance_watermark(&subreddit, kind, &mark("t1_9", 9)).await.expect("advanced");
    assert_eq!(feed().await, Feed { watermark: Some(mark("t1_9", 9)), gap: None });

    store.advance_watermark(&subreddit, kind, &mark("t1_7", 7)).await.expect("advanced");
    assert_eq!(feed().await.watermark, Some(mark("t1_9", 9)));
    assert_eq!(store.feed(&subreddit, ItemKind::Post).await.expect("another feed"), Feed::default());
}

#[tokio::test]
async fn the_longest_neglected_subreddit_comes_first() {
    let (database, store) = with_rust().await;
    let names: Vec<SubredditName> = ["cooking", "games", "off"].map(|n| n.parse().expect("a name")).into();
    store.add_subreddits(&names).await.expect("added");
    sql(&database, "update subreddits set enabled = false where name = 'off'").await;
    store.record_fetched(&names[0]).await.expect("noted");
    store.record_subreddit_error(&rust(), "it is private").await.expect("noted");
    let order = store.enabled_subreddits().await.expect("names");
    assert_eq!(order, [names[1].clone(), names[0].clone(), rust()]);
    let error = |status: modloop_store::Status| status.subreddits.into_iter().find_map(|s| s.last_error);
    assert_eq!(error(store.status().await.expect("a status")).as_deref(), Some("it is private"));
    store.record_fetched(&rust()).await.expect("noted");
    assert_eq!(error(store.status().await.expect("a status")), None);
}
