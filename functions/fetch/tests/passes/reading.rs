use std::time::Duration;

use modloop_fetch::Limits;
use modloop_local::reddit::{Faults, Options};

use crate::fixture::{TIMEOUT, World};

#[tokio::test]
async fn a_pass_stores_and_queues_everything_once() {
    let world = World::new(Options::all_at_once(1)).await;
    let report = world.pass().await;
    assert!(report.failure.is_none() && report.ended_early.is_none(), "{report:?}");
    let all = world.expected().len();
    assert!(all > 600, "{all}");
    assert_eq!((report.fetched, report.new, report.queued, report.requeued), (all, all, all, 0));
    world.assert_complete().await;
    assert!(world.queue.sent().values().all(|times| *times == 1));

    let again = world.pass().await;
    assert_eq!((again.fetched, again.queued, again.requeued, again.scrubbed), (0, 0, 0, 0), "{again:?}");
}

#[tokio::test]
async fn the_answer_is_json_without_anybodys_text() {
    let world = World::new(Options::all_at_once(1)).await;
    let report = world.pass().await;
    let answer = serde_json::to_value(&report).expect("JSON");
    assert_eq!(answer["new"], world.expected().len());
    assert_eq!(answer["communities"].as_array().map(Vec::len), Some(3));
    assert_eq!(answer["communities"][0]["unfinished"], false);
    let malformed = world.reddit.expected().malformed;
    assert_eq!(answer["bad_items"].as_array().map(Vec::len), Some(malformed));
    assert!(answer["bad_items"][0]["name"].as_str().is_some_and(|name| name.starts_with("t1_")), "{answer}");
    let text = answer.to_string();
    for item in world.reddit.expected_items() {
        assert!(item.body.len() < 20 || !text.contains(&item.body), "{}", item.fullname);
    }
}

#[tokio::test]
async fn a_page_limit_leaves_a_gap_that_later_passes_close() {
    let mut world = World::new(Options { page_size: 20, ..Options::all_at_once(1) }).await;
    world.limits = Limits { pages: 4, recheck: 0, ..Limits::default() };
    let mut passes = 0;
    loop {
        let report = world.pass().await;
        assert!(report.failure.is_none(), "{report:?}");
        passes += 1;
        let unfinished = report.communities.iter().any(|subreddit| subreddit.reading.unfinished);
        // 165 comments are nine pages of each subreddit: four, four, and one more with the new top.
        assert_eq!(unfinished, passes < 3, "pass {passes}");
        if !unfinished {
            break;
        }
    }
    world.assert_complete().await;
    assert!(world.queue.sent().values().all(|times| *times == 1));
}

#[tokio::test]
async fn a_later_pass_stops_at_the_watermark() {
    // An item a minute: two minutes below the watermark is far from the end of the listing.
    let options = Options { page_size: 10, ..Options::live(1, Duration::from_secs(60)) };
    let mut world = World::new(options).await;
    world.limits.pages = 30;
    world.limits.recheck = 0;
    world.pass().await;
    let before = world.reddit.stats().requests;
    let report = world.pass().await;
    assert!(report.new <= 1, "{report:?}");
    assert_eq!(world.reddit.stats().requests - before, 7, "a token, and a page of each listing");
}

#[tokio::test]
async fn new_items_are_found_above_the_watermark() {
    let mut world = World::new(Options::live(1, Duration::from_millis(20))).await;
    world.limits.recheck = 0;
    world.pass().await;
    let first = world.items("true").await.len();
    let report = world.pass().await;
    assert!(report.new > 0, "{report:?}");
    assert_eq!(world.items("true").await.len(), first + report.new);
}

#[tokio::test]
async fn faults_lose_nothing() {
    let faults = Faults::outlasting(3, TIMEOUT);
    let mut world = World::new(Options::all_at_once(1).with_faults(faults)).await;
    world.limits.pages = 20;
    let report = world.pass().await;
    assert!(report.failure.is_none() && report.failed_communities() == 0, "{report:?}");
    assert_eq!(world.reddit.stats().faults.len(), 5, "every kind: {:?}", world.reddit.stats());
    world.assert_complete().await;
}
