//! A run that is killed before and after every call outside, and at any point inside, ends like one that is not.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use modloop_domain::RunState;
use modloop_retrain::{Deadline, handle};
use modloop_store::models::SwitchAction;
use serde_json::{Value, json};

use crate::world::World;

/// A small community, all of it labeled.
const ITEMS: usize = 60;

/// What must be the same however often a run was killed.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    runs: usize,
    state: RunState,
    jobs: usize,
    versions: usize,
    switches: Vec<SwitchAction>,
    labeled: usize,
    /// The registry says what inference does.
    champion_is_ours: bool,
}

async fn outcome(world: &World) -> Outcome {
    let store = world.store().await;
    let run = world.run().await;
    let champion = run.champion_version.clone().expect("began");
    let labeled = store.labeled_items(run.id, &champion, 1000).await.expect("reads");
    let (jobs, versions, champion) = world.outer.counted();
    Outcome {
        runs: store.runs(10).await.expect("reads").len(),
        state: run.state,
        jobs,
        versions,
        switches: world.switches().await,
        labeled: labeled.iter().filter(|item| item.in_run).count(),
        champion_is_ours: champion == run.challenger_version.as_str(),
    }
}

fn expected() -> Outcome {
    Outcome {
        runs: 1,
        state: RunState::Champion,
        jobs: 1,
        versions: 2,
        switches: vec![SwitchAction::Shadow, SwitchAction::Canary, SwitchAction::Promote],
        labeled: ITEMS,
        champion_is_ours: true,
    }
}

/// A request that is stored whatever happens then, as the queue's are.
async fn ask(world: &World) {
    let request = modloop_store::runs::RunRequest {
        by: modloop_domain::RequestedBy::Operator,
        reason: "a test".into(),
        episode: None,
        model: None,
    };
    world.store().await.request_run(&request).await.expect("stored");
}

/// Invokes until the run is over and the registry knows; serves what a trial needs.
async fn drive(world: &World, invoke: impl AsyncFn(&World)) {
    for _ in 0..60 {
        invoke(world).await;
        let over = world.run().await.state.is_final();
        if over && world.store().await.unmirrored_switches().await.expect("reads").is_empty() {
            return;
        }
        world.serve(false).await;
    }
    panic!("the run does not end: {:?}", world.run().await);
}

async fn tick(world: &World) {
    if let Some(answer) = world.invoke(json!({})).await {
        answer.expect("goes well");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_and_after_every_call_outside_a_run_ends_the_same() {
    let whole = World::of(ITEMS, ITEMS).await;
    ask(&whole).await;
    drive(&whole, tick).await;
    assert_eq!(outcome(&whole).await, expected());
    let calls = whole.outer.calls();
    // Labeling is the same two points for every text.
    let labeling = 4..2 * ITEMS - 4;
    for at in (0..calls).filter(|at| !labeling.contains(at)) {
        let world = World::of(ITEMS, ITEMS).await;
        *world.outer.kill_at.lock().expect("no panic") = Some(at);
        ask(&world).await;
        drive(&world, tick).await;
        assert!(world.outer.kill_at.lock().expect("no panic").is_none(), "nothing was killed at {at}");
        assert_eq!(outcome(&world).await, expected(), "killed at {at}");
    }
}

/// Polls a future so often and then drops it, wherever it is.
async fn polled<T>(work: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_anywhere_a_run_ends_the_same() {
    for seed in 1..=4_usize {
        let world = World::of(ITEMS, ITEMS).await;
        ask(&world).await;
        let invocation = std::sync::atomic::AtomicUsize::new(0);
        drive(&world, async |world: &World| {
            let number = invocation.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            // Ever longer, at points that no two invocations share.
            let polls = 20 + number * 37 + seed * 11;
            let context = world.context().await;
            let deadline = Deadline::after(Duration::from_secs(800));
            let event: Value = json!({});
            match polled(handle(&context, event, deadline), polls).await {
                Some(answer) => drop(answer.expect("goes well")),
                None => world.a_minute_passes().await,
            }
        })
        .await;
        assert_eq!(outcome(&world).await, expected(), "seed {seed}");
    }
}
