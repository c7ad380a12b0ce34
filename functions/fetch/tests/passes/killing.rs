use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use modloop_fetch::{Limits, handle};
use modloop_local::reddit::{Arrival, CLIENT_SECRET, Options};
use modloop_reddit::Deadline;
use modloop_store::DatabaseSettings;
use url::Url;

use crate::fixture::World;
use crate::proxy::{Death, MortalQueue, before_postgres};

/// Three subreddits with two posts and six comments each, in pages of three, two pages a pass.
async fn small_world() -> World {
    let options = Options {
        arrival: Arrival::AllAtOnce { items: 24 },
        page_size: 3,
        allowance: 1_000_000,
        ..Options::all_at_once(1)
    };
    let mut world = World::new(options).await;
    world.limits = Limits { pages: 2, ..Limits::default() };
    // One subreddit is enough to die in.
    world.sql("update communities set enabled = name = 'city_talk'").await;
    world
}

/// Runs a pass that dies at that step. Returns whether it came to that.
async fn pass_that_dies(world: &World, step: usize) -> bool {
    let death = Death::at(step);
    let mut url: Url = world.database.url().parse().expect("a url");
    let server = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
    let port = before_postgres(server, Arc::clone(&death)).await;
    url.set_ip_host([127, 0, 0, 1].into()).expect("a host");
    url.set_port(Some(port)).expect("a port");
    let settings = DatabaseSettings::from_url(url.as_str()).expect("settings");
    let queue = MortalQueue(world.queue.clone(), Arc::clone(&death));
    let context = world.context(queue, settings, CLIENT_SECRET);
    tokio::select! {
        report = handle(&context, Deadline::after(Duration::from_secs(60))) => {
            assert!(report.failure.is_none(), "{report:?}");
            false
        }
        () = death.come() => true,
    }
}

/// Passes until nothing is left to do.
async fn finish(world: &World) {
    for _ in 0..5 {
        let report = world.pass().await;
        assert!(report.failure.is_none(), "{report:?}");
        if report.communities.iter().all(|subreddit| !subreddit.reading.unfinished) {
            return;
        }
    }
    panic!("the gap does not close");
}

fn of_city_talk(world: &World) -> BTreeSet<modloop_reddit::Fullname> {
    let items = world.reddit.expected_items().into_iter().filter(|item| item.subreddit() == "city_talk");
    items.map(|item| item.fullname).collect()
}

async fn assert_nothing_lost(world: &World, step: usize) {
    let expected = of_city_talk(world);
    assert_eq!(world.items("content_hash is not null").await, expected, "step {step}");
    let unqueued = world.items("pending_since is not null and queued_at is null").await;
    assert_eq!(unqueued, BTreeSet::new(), "step {step}");
    let sent: BTreeSet<_> = world.queue.sent().into_keys().collect();
    assert!(sent.is_superset(&expected), "step {step}");
}

#[tokio::test]
async fn a_first_pass_may_die_at_any_step() {
    let mut world = small_world().await;
    let mut step = 0;
    while pass_that_dies(&world, step).await {
        finish(&world).await;
        assert_nothing_lost(&world, step).await;
        world.sql("delete from items; delete from feeds").await;
        world.queue = Default::default();
        step += 1;
    }
    assert!(step > 20, "only {step} steps");
}

#[tokio::test]
async fn a_pass_over_changed_items_may_die_at_any_step() {
    let mut world = small_world().await;
    world.limits.pages = 10;
    world.pass().await;
    let items: Vec<_> = of_city_talk(&world).into_iter().collect();
    for table in ["items", "item_texts", "checks"] {
        world.sql(&format!("create table saved_{table} as select * from {table}")).await;
    }
    world.sql("update saved_items set pending_since = null, queued_at = null, queue_attempts = 0").await;
    world.reddit.edit(&items[0], "edited");
    world.reddit.delete(&items[1]);
    world.reddit.forget(&items[2]);
    let mut step = 0;
    loop {
        world.sql("delete from items; insert into items select * from saved_items").await;
        world.sql("insert into item_texts select * from saved_item_texts").await;
        world.sql("insert into checks select * from saved_checks").await;
        world.queue = Default::default();
        if !pass_that_dies(&world, step).await {
            break;
        }
        finish(&world).await;
        assert_eq!(
            world.items("id in (select item_id from item_texts where body = 'edited') and pending_since is not null").await,
            [items[0].clone()].into()
        );
        assert_eq!(world.items("state = 'deleted'").await, [items[1].clone()].into());
        assert_eq!(world.items("state = 'absent'").await, [items[2].clone()].into());
        let sent: Vec<_> = world.queue.sent().into_keys().collect();
        assert_eq!(sent, [items[0].clone()], "step {step}: only what changed is queued");
        step += 1;
    }
    assert!(step > 20, "only {step} steps");
}
