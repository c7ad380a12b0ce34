//! Each part away in turn: the run waits with a reason and goes on where it stopped.

use std::time::Duration;

use modloop_domain::RunState;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_run_waits_for_each_part_and_goes_on_where_it_stopped() {
    let waits = [
        ("labeler", RunState::Labeling),
        ("files", RunState::Labeling),
        ("jobs", RunState::Training),
        ("registry", RunState::Evaluating),
    ];
    for (part, state) in waits {
        let world = World::new().await;
        world.outer.away.lock().expect("no panic").push(part);
        world
            .invoke(json!({"kind": "start", "by": "local:test", "reason": "by hand"}))
            .await
            .expect("alive")
            .expect("goes well");
        for _ in 0..3 {
            world.tick().await;
        }
        let run = world.run().await;
        assert_eq!(run.state, state, "{part}");
        assert!(
            run.reason.as_deref().is_some_and(|reason| reason.contains(part)),
            "{part}: {:?}",
            run.reason
        );
        assert!(run.failing_since.is_some());
        world.outer.away.lock().expect("no panic").clear();
        for _ in 0..3 {
            world.tick().await;
        }
        let run = world.run().await;
        assert_eq!((run.state, run.reason), (RunState::Shadow, None), "{part}");
        assert_eq!(world.outer.jobs.lock().expect("no panic").len(), 1);
    }
}

#[tokio::test]
async fn a_registry_that_is_away_holds_up_no_roll_back_and_is_told_later() {
    let world = World::new().await;
    world.until(RunState::Shadow).await;
    world.outer.away.lock().expect("no panic").push("registry");
    world.serve(true).await;
    assert_eq!(world.tick().await.state, Some(RunState::RolledBack));
    assert!(world.store().await.serving().await.expect("reads").challenger.is_none());
    world.outer.away.lock().expect("no panic").clear();
    world.tick().await;
    assert_eq!(world.outer.aliases.lock().expect("no panic").1, None);
}

#[tokio::test]
async fn patience_has_an_end() {
    let world = World::new().await;
    world.set("training", json!({"patience_hours": 0})).await;
    world.outer.away.lock().expect("no panic").push("jobs");
    world
        .invoke(json!({"kind": "start", "by": "local:test", "reason": "by hand"}))
        .await
        .expect("alive")
        .expect("goes well");
    tokio::time::sleep(Duration::from_millis(5)).await;
    world.tick().await;
    let run = world.run().await;
    assert_eq!(run.state, RunState::Failed);
    assert!(run.reason.is_some_and(|reason| reason.contains("jobs failed and may work later")));
}

#[tokio::test]
async fn a_database_that_restarts_costs_one_invocation_at_most() {
    let world = World::new().await;
    let context = world.context().await;
    world.database.terminate_connections().await;
    let deadline = modloop_retrain::Deadline::after(Duration::from_secs(800));
    let _perhaps = modloop_retrain::handle(
        &context,
        json!({"kind": "start", "by": "local:test", "reason": "by hand"}),
        deadline,
    )
    .await;
    world.tick().await;
    world.tick().await;
    assert_eq!(world.run().await.state, RunState::Shadow);
}

#[tokio::test]
async fn two_invocations_at_once_do_the_work_of_one() {
    let world = World::new().await;
    world
        .invoke(json!({"kind": "start", "by": "local:test", "reason": "by hand"}))
        .await
        .expect("alive")
        .expect("goes well");
    tokio::join!(world.tick(), world.tick());
    world.tick().await;
    assert_eq!(
        (world.run().await.state, world.switches().await),
        (RunState::Shadow, vec![modloop_store::models::SwitchAction::Shadow])
    );
    assert_eq!(world.outer.jobs.lock().expect("no panic").len(), 1);
}
