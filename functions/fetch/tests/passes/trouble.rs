use std::time::{Duration, SystemTime};

use modloop_fetch::{FetchError, deadline, handle};
use modloop_local::reddit::Options;
use modloop_reddit::Deadline;
use modloop_reddit::SubredditName;

use crate::fixture::World;

#[tokio::test]
async fn a_broken_subreddit_does_not_stop_the_others() {
    let world = World::new(Options::all_at_once(1)).await;
    let broken: Vec<SubredditName> =
        ["private_club", "banned_corner", "a_misspelt_name"].map(|name| name.parse().expect("a name")).into();
    world.watch(&broken).await;
    let report = world.pass().await;
    assert!(report.failure.is_none());
    world.assert_complete().await;
    assert_eq!((report.communities.len(), report.failed_communities()), (6, 3));
    let told = |name: &str| {
        let entry = report.communities.iter().find(|community| community.name.name().as_str() == name);
        entry.and_then(|community| community.error.clone()).unwrap_or_default()
    };
    assert!(told("private_club").contains("private"), "{}", told("private_club"));
    assert!(told("banned_corner").contains("banned"), "{}", told("banned_corner"));
    assert!(told("a_misspelt_name").contains("check the spelling"), "{}", told("a_misspelt_name"));

    let status = world.database.store().await.status().await.expect("a status");
    for community in status.communities {
        let is_broken = broken.iter().any(|name| *name.community() == community.name);
        assert_eq!(community.last_error.is_some(), is_broken, "{}", community.name);
        assert_eq!(community.last_fetched_at.is_none(), is_broken, "{}", community.name);
    }
}

#[tokio::test]
async fn a_queue_that_is_down_loses_nothing() {
    let mut world = World::new(Options::all_at_once(1)).await;
    world.queue.down = true;
    let report = world.pass().await;
    assert!(matches!(report.failure, Some(FetchError::Queue(_))), "{report:?}");
    assert_eq!((report.new, report.queued), (world.expected().len(), 0));
    world.queue.down = false;
    let report = world.pass().await;
    assert_eq!((report.fetched, report.requeued), (0, world.expected().len()));
    assert!(report.failure.is_none(), "{report:?}");
    world.assert_complete().await;
}

#[tokio::test]
async fn refused_items_are_sent_again() {
    let mut world = World::new(Options::all_at_once(1)).await;
    world.queue.picky = true;
    let report = world.pass().await;
    assert!(report.failure.is_none() && report.queued < report.new, "{report:?}");
    world.queue.picky = false;
    world.pass().await;
    world.assert_complete().await;
    assert!(world.queue.sent().values().all(|times| *times == 1));
}

#[tokio::test]
async fn what_is_never_scored_is_queued_again() {
    let world = World::new(Options::all_at_once(1)).await;
    world.pass().await;
    world.sql("update items set pending_since = null where id like 't1%'").await;
    world.sql("update items set queued_at = queued_at - interval '16 minutes'").await;
    let report = world.pass().await;
    assert_eq!(report.requeued, world.items("id like 't3%'").await.len());
}

#[tokio::test]
async fn wrong_credentials_fail_the_pass_and_say_so() {
    let world = World::new(Options::all_at_once(1)).await;
    let context = world.context(world.queue.clone(), world.database.settings().clone(), "wrong");
    let report = handle(&context, Deadline::after(Duration::from_secs(60))).await;
    let failure = report.failure.expect("refused");
    assert!(failure.is_about_credentials() && !failure.is_retryable());
    assert!(failure.to_string().contains("client_id") && !failure.to_string().contains("wrong"), "{failure}");
}

#[tokio::test]
async fn a_pass_without_time_ends_early_and_the_next_goes_on() {
    let world = World::new(Options::all_at_once(1)).await;
    let report = world.pass_within(Duration::ZERO).await;
    assert!(report.failure.is_none() && report.ended_early.is_some(), "{report:?}");
    assert_eq!(report.fetched, 0);
    world.pass().await;
    world.assert_complete().await;
}

#[tokio::test]
async fn a_used_up_rate_budget_ends_a_pass_early_and_the_next_goes_on() {
    let options = Options { allowance: 4, page_size: 50, ..Options::all_at_once(1) };
    let world = World::new(options).await;
    let report = world.pass().await;
    assert!(report.failure.is_none() && report.ended_early.is_some(), "{report:?}");
    assert!(report.new > 0 && report.new < world.expected().len());
    assert_eq!(world.reddit.stats().requests, 4);
}

#[tokio::test]
async fn a_restart_of_postgres_between_two_steps_is_survived() {
    let world = World::new(Options::all_at_once(1)).await;
    let context = world.context(
        world.queue.clone(),
        world.database.settings().clone(),
        modloop_local::reddit::CLIENT_SECRET,
    );
    drop(context.database.session().await.expect("a connection"));
    world.database.terminate_connections().await;
    let report = handle(&context, Deadline::after(Duration::from_secs(60))).await;
    assert!(report.failure.is_none(), "{report:?}");
    world.assert_complete().await;
}

#[tokio::test]
async fn an_invocation_keeps_time_to_answer() {
    let now = SystemTime::now();
    let left = |seconds| deadline(now, now + Duration::from_secs(seconds)).left().as_secs_f64().round();
    assert!((left(300) - 290.0).abs() < 1.5);
    assert!((left(8) - 6.0).abs() < 1.5);
    assert!(deadline(now, now - Duration::from_secs(1)).has_passed());
}
