use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use modloop_domain::{
    Actor, Community, Item, ItemContext, ItemId, ItemKind, ItemState, ItemText, SourceName,
};
use modloop_store::Store;
use modloop_store::communities::{Feed, Gap, Mark};
use modloop_store::items::Stored;
use modloop_store::queue::STUCK_AFTER;
use modloop_store::testing::TestDatabase;

fn rust() -> Community {
    "rust".parse().expect("a name")
}

fn name(text: &str) -> ItemId {
    text.parse().expect("an id")
}

fn moment(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000 + seconds, 0).expect("a time")
}

fn item(id: &str, body: &str) -> Item {
    Item {
        id: name(id),
        kind: ItemKind::Comment,
        community: rust(),
        text: ItemText::new(None, body),
        context: ItemContext {
            author: Some("ada".into()),
            permalink: format!("/r/rust/comments/1/_/{id}/"),
            ..ItemContext::default()
        },
        created_at: moment(0),
        edited_at: None,
        observed_at: None,
    }
}

fn by(author: Option<&str>, item: Item) -> Item {
    let context = ItemContext { author: author.map(str::to_owned), ..item.context };
    Item { context, ..item }
}

async fn with_rust() -> (TestDatabase, Store) {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    assert!(store.add_community(&Actor::local("test"), &rust()).await.expect("added"));
    (database, store)
}

async fn sql(database: &TestDatabase, statement: &str) {
    database.client().await.batch_execute(statement).await.expect(statement);
}

async fn count(database: &TestDatabase, condition: &str) -> i64 {
    let sql = format!("select count(*) from items where {condition}");
    database.client().await.query_one_scalar(&sql, &[]).await.expect("a count")
}

async fn due(store: &Store) -> Vec<ItemId> {
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
async fn a_page_that_shows_an_item_twice_or_a_strange_community_is_stored() {
    let (database, store) = with_rust().await;
    let strange = Item { community: "cooking".parse().expect("a name"), ..item("t1_3", "x") };
    let stored = store.store_items(&[item("t1_1", "a"), item("t1_1", "a"), strange]).await.expect("stored");
    assert_eq!(stored.new, [name("t1_1")]);
    assert_eq!(store.store_items(&[]).await.expect("nothing to do"), Stored::default());
    assert_eq!(count(&database, "true").await, 1);
}

#[tokio::test]
async fn awkward_text_is_stored_as_it_is() {
    let (database, store) = with_rust().await;
    let text = ItemText::new(Some("\u{202e}ltr 😀"), &format!("nul \0, \\u0000, {}", "x".repeat(40_000)));
    let key = store.hash_key().await.expect("a key").clone();
    let hash = text.content_hash(&key);
    let stored = by(Some("a\0b"), Item { text, ..item("t3_1", "") });
    store.store_items(&[stored]).await.expect("stored");
    let sql = "select t.title, t.body, i.content_hash from items i join item_texts t on t.item_id = i.id";
    let row = database.client().await.query_one(sql, &[]).await.expect("the item");
    let read = ItemText::new(row.get("title"), row.get("body"));
    assert_eq!((read.content_hash(&key), row.get::<_, &[u8]>("content_hash")), (hash, hash.as_bytes()));
}

#[tokio::test]
async fn an_author_who_leaves_is_forgotten() {
    let (database, store) = with_rust().await;
    store.store_items(&[item("t1_1", "one")]).await.expect("stored");
    store.store_items(&[by(None, item("t1_1", "one"))]).await.expect("stored");
    assert_eq!(
        count(&database, "exists (select from item_texts where author is null and body = 'one')").await,
        1
    );
}

#[tokio::test]
async fn scrubbed_items_lose_text_author_and_their_place_in_the_line() {
    let (database, store) = with_rust().await;
    store.store_items(&[item("t1_1", "one"), item("t1_2", "two")]).await.expect("stored");
    let names = [name("t1_1"), name("t1_9")];
    assert_eq!(store.scrub(&names, ItemState::Removed).await.expect("scrubbed"), 1);
    assert_eq!(store.scrub(&names, ItemState::Removed).await.expect("again"), 0);
    assert_eq!(
        count(
            &database,
            "state = 'removed' and not exists (select from item_texts t where t.item_id = items.id)"
        )
        .await,
        1
    );
    assert_eq!(due(&store).await, [name("t1_2")]);
    assert_eq!(
        store.due_for_check(&SourceName::reddit(), 10, Utc::now() + TimeDelta::hours(1)).await.expect("due"),
        [name("t1_2")]
    );
}

#[tokio::test]
async fn what_its_author_deleted_stays_gone_and_the_rest_may_come_back() {
    let (_database, store) = with_rust().await;
    let items = [item("t1_1", "one"), item("t1_2", "two"), item("t1_3", "three")];
    store.store_items(&items).await.expect("stored");
    for (id, reason) in
        [("t1_1", ItemState::Deleted), ("t1_2", ItemState::Removed), ("t1_3", ItemState::Absent)]
    {
        store.scrub(&[name(id)], reason).await.expect("scrubbed");
    }
    let stored = store.store_items(&items).await.expect("stored");
    assert_eq!(
        stored,
        Stored { restored: vec![name("t1_2"), name("t1_3")], unchanged: 1, ..Stored::default() }
    );
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
    assert_eq!(status.communities[0].stuck, 1, "stuck after {STUCK_AFTER} attempts");
}

#[tokio::test]
async fn the_longest_unchecked_are_checked_first() {
    let (database, store) = with_rust().await;
    store.store_items(&[item("t1_1", "a"), item("t1_2", "b"), item("t1_3", "c")]).await.expect("stored");
    sql(&database, "update checks set due_at = now() - interval '1 hour' where item_id = 't1_2'").await;
    sql(&database, "update checks set due_at = now() - interval '2 hours' where item_id = 't1_3'").await;
    let now = store.now().await.expect("a clock");
    let an_hour_ago = now - TimeDelta::minutes(30);
    let reddit = SourceName::reddit();
    let oldest = |limit| store.due_for_check(&reddit, limit, an_hour_ago);
    assert_eq!(oldest(10).await.expect("due"), [name("t1_3"), name("t1_2")]);
    assert_eq!(oldest(1).await.expect("due"), [name("t1_3")]);
    store.mark_checked(&[name("t1_3")]).await.expect("marked");
    store.store_items(&[item("t1_2", "b")]).await.expect("seen again");
    assert_eq!(oldest(10).await.expect("due"), []);
}

#[tokio::test]
async fn a_watermark_moves_once_the_gap_is_closed_and_never_back() {
    let (_database, store) = with_rust().await;
    let (community, kind) = (rust(), ItemKind::Comment);
    let mark = |item: &str, seconds| Mark { item: name(item), created_at: moment(seconds) };
    let feed = || async { store.feed(&community, kind).await.expect("a feed") };
    assert_eq!(feed().await, Feed::default());

    let gap = Gap { cursor: name("t1_5"), top: mark("t1_9", 9) };
    store.save_gap(&community, kind, &gap).await.expect("saved");
    assert_eq!(feed().await, Feed { watermark: None, gap: Some(gap) });

    store.advance_watermark(&community, kind, &mark("t1_9", 9)).await.expect("advanced");
    assert_eq!(feed().await, Feed { watermark: Some(mark("t1_9", 9)), gap: None });

    store.advance_watermark(&community, kind, &mark("t1_7", 7)).await.expect("advanced");
    assert_eq!(feed().await.watermark, Some(mark("t1_9", 9)));
    assert_eq!(store.feed(&community, ItemKind::Post).await.expect("another feed"), Feed::default());
}

#[tokio::test]
async fn the_longest_neglected_community_comes_first() {
    let (database, store) = with_rust().await;
    let names: Vec<Community> = ["cooking", "games", "off"].map(|n| n.parse().expect("a name")).into();
    for name in &names {
        store.add_community(&Actor::local("test"), name).await.expect("added");
    }
    sql(&database, "update communities set enabled = false where name = 'off'").await;
    store.record_pass(&names[0], None).await.expect("noted");
    store.record_pass(&rust(), Some("it is private")).await.expect("noted");
    let order = store.enabled_communities(&SourceName::reddit()).await.expect("names");
    assert_eq!(order, [names[1].clone(), names[0].clone(), rust()]);
    let error =
        |status: modloop_store::status::Status| status.communities.into_iter().find_map(|c| c.last_error);
    assert_eq!(error(store.status().await.expect("a status")).as_deref(), Some("it is private"));
    store.record_pass(&rust(), None).await.expect("noted");
    assert_eq!(error(store.status().await.expect("a status")), None);
}

#[tokio::test]
async fn an_older_snapshot_never_overwrites_a_newer_one() {
    let (database, store) = with_rust().await;
    let at = |minutes, body: &str| {
        let observed_at = Some(Utc::now() - TimeDelta::minutes(minutes));
        Item { observed_at, ..item("t1_1", body) }
    };
    store.store_items(&[at(5, "new")]).await.expect("stored");
    let late = store.store_items(&[at(9, "old")]).await.expect("seen");
    assert_eq!(late, Stored { unchanged: 1, ..Stored::default() });
    assert_eq!(count(&database, "exists (select from item_texts where body = 'new')").await, 1);
    assert_eq!(store.store_items(&[at(1, "newer")]).await.expect("stored").edited, [name("t1_1")]);
}

#[tokio::test]
async fn forgetting_an_author_takes_every_text_and_leaves_no_name() {
    let (database, store) = with_rust().await;
    let others = by(Some("bob"), item("t1_2", "two"));
    store.store_items(&[item("t1_1", "one"), others, item("t1_3", "three")]).await.expect("stored");
    let forgotten = store.forget_author(&Actor::local("test"), "ADA").await.expect("forgotten");
    assert_eq!(forgotten.items, [name("t1_1"), name("t1_3")].into());
    let left: Vec<String> = database
        .client()
        .await
        .query("select author from item_texts", &[])
        .await
        .expect("reads")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(left, ["bob"]);
    // What is forgotten stays so, whatever the source shows.
    let again = store.store_items(&[item("t1_1", "one")]).await.expect("seen");
    assert_eq!((again.restored, again.unchanged), (vec![], 1));
    assert_eq!(store.forget_author(&Actor::local("test"), "ada").await.expect("again").items.len(), 0);
}

#[tokio::test]
async fn the_database_refuses_what_the_code_would_refuse() {
    let (database, _store) = with_rust().await;
    for refused in [
        "insert into communities (name) values ('r/rust')",
        "insert into communities (name) values ('Rust')",
        "insert into communities (source, name) values ('Forum', 'x')",
        "insert into items (id, community_id, kind, created_at) select 'a b', id, 'post', now() from communities",
        "insert into items (id, community_id, kind, created_at) select 't1_1', id, 'poll', now() from communities",
        "insert into policies (thresholds) values ('{\"review\": 0.9, \"remove\": 0.5}')",
        "insert into policies (thresholds) values ('{\"review\": 0.1, \"remove\": 0.5, \"labels\": {\"hate\": 7}}')",
        "insert into models (version, labels, baseline) values ('V 1', '{hate}', '{}')",
        "insert into settings (name, version, document, changed_by) values ('gate', 0, '{}', 'x:y')",
        "insert into audit (actor, action, subject) values ('', 'a.b', 'c')",
    ] {
        assert!(database.client().await.batch_execute(refused).await.is_err(), "{refused}");
    }
}

#[tokio::test]
async fn the_audit_log_only_grows_for_its_owner_too() {
    let (database, store) = with_rust().await;
    for refused in ["update audit set actor = 'x:y'", "delete from audit", "truncate audit"] {
        let error = database.client().await.batch_execute(refused).await.expect_err(refused);
        assert!(format!("{error:?}").contains("the audit log only grows"), "{error:?}");
    }
    assert_eq!(store.audit(None, 10).await.expect("reads").len(), 1);
}
