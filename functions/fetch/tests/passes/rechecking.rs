use std::collections::BTreeSet;
use std::time::Duration;

use modloop_local::reddit::{Arrival, Options};
use modloop_reddit::Fullname;

use crate::fixture::World;

/// A world in which everything is stored and scored, and its items, newest first. An item a minute, so that
/// most of them lie far below the watermark.
async fn scored() -> (World, Vec<Fullname>) {
    let world = World::new(Options { page_size: 25, ..Options::live(1, Duration::from_secs(60)) }).await;
    world.pass().await;
    world.sql("update items set pending_since = null").await;
    let old = world.reddit.expected_items().into_iter().skip(300).map(|item| item.fullname).collect();
    (world, old)
}

fn only(item: &Fullname) -> BTreeSet<Fullname> {
    BTreeSet::from([item.clone()])
}

#[tokio::test]
async fn old_items_that_change_are_found_by_asking_for_them() {
    let (mut world, items) = scored().await;
    world.limits.recheck = 1000;
    world.reddit.edit(&items[0], "I was wrong, and I take it back.");
    world.reddit.delete(&items[1]);
    world.reddit.remove(&items[2]);
    world.reddit.forget(&items[3]);
    let report = world.pass().await;
    assert!(report.failure.is_none(), "{report:?}");
    assert_eq!((report.edited, report.scrubbed), (1, 3), "{report:?}");
    assert!(report.checked > 400, "{}", report.checked);

    assert_eq!(
        world
            .items("id in (select item_id from item_texts where body = 'I was wrong, and I take it back.')")
            .await,
        only(&items[0])
    );
    assert_eq!(world.queue.sent()[&items[0]], 2, "scored again");
    for (item, reason) in [(&items[1], "deleted"), (&items[2], "removed"), (&items[3], "absent")] {
        let scrubbed = format!(
            "state = '{reason}' and not exists (select from item_texts t where t.item_id = items.id)"
        );
        assert_eq!(world.items(&scrubbed).await, only(item));
    }
}

#[tokio::test]
async fn the_limit_spreads_checks_over_passes() {
    let (mut world, items) = scored().await;
    world.limits.recheck = 250;
    for item in &items {
        world.reddit.delete(item);
    }
    let mut scrubbed = 0;
    for _ in 0..4 {
        scrubbed += world.pass().await.scrubbed;
    }
    assert_eq!(scrubbed, items.len() as u64);
    assert_eq!(world.items("content_hash is null").await, items.into_iter().collect());
}

/// So few items that one page shows a whole listing.
fn one_page() -> Options {
    Options { arrival: Arrival::AllAtOnce { items: 240 }, ..Options::all_at_once(1) }
}

#[tokio::test]
async fn items_just_listed_are_not_asked_for() {
    let world = World::new(one_page()).await;
    world.pass().await;
    assert_eq!(world.pass().await.checked, 0);
}

#[tokio::test]
async fn what_moderators_let_back_in_is_stored_again_and_what_its_author_deleted_is_not() {
    let world = World::new(one_page()).await;
    world.pass().await;
    let items: Vec<Fullname> = world.expected().into_iter().take(2).collect();
    world.reddit.remove(&items[0]);
    world.reddit.delete(&items[1]);
    assert_eq!(world.pass().await.scrubbed, 2);
    for item in &items {
        world.reddit.edit(item, "here I am again");
    }
    let report = world.pass().await;
    assert_eq!((report.restored, report.queued), (1, 1), "{report:?}");
    assert_eq!(
        world.items("id in (select item_id from item_texts where body = 'here I am again')").await,
        only(&items[0])
    );
    assert_eq!(world.items("content_hash is null").await, only(&items[1]));
}
