//! Runs that end before a challenger takes over, each with its reason.

use std::sync::atomic::Ordering;

use modloop_domain::{Actor, RunState};
use modloop_store::labels::HumanLabel;
use modloop_store::models::SwitchAction;
use serde_json::json;

use crate::world::World;

fn holds(reason: Option<&str>, words: &str) {
    assert!(reason.is_some_and(|reason| reason.contains(words)), "{words}: {reason:?}");
}

#[tokio::test]
async fn without_permission_no_text_leaves_and_the_champion_is_measured() {
    let world = World::new().await;
    assert!(world.store().await.withdraw_training(&Actor::local("test")).await.expect("withdrawn"));
    let run = world.until(RunState::Rejected).await;
    holds(run.reason.as_deref(), "nobody has stated that texts may be trained on");
    holds(run.reason.as_deref(), "recall 0.00");
    assert!(world.outer.jobs.lock().expect("no panic").is_empty());
    assert!(world.outer.files.lock().expect("no panic").is_empty());
    assert!(run.champion_quality.is_some_and(|quality| quality["hate"]["items"] == 100));
}

#[tokio::test]
async fn a_labeler_that_contradicts_people_stops_the_run() {
    let world = World::new().await;
    let store = world.store().await;
    let says = |coded: bool| ["hate", "offensive"].map(|l| (l.parse().expect("a label"), coded)).into();
    let person = |n: usize| HumanLabel {
        item: format!("t1_{n}").parse().expect("a id"),
        values: says(n.is_multiple_of(3)),
    };
    let labels: Vec<HumanLabel> = (0..30).map(person).collect();
    store.import_labels(&Actor::local("test"), "a test", &labels).await.expect("stored");
    world.outer.lies.store(true, Ordering::Relaxed);
    let run = world.until(RunState::Rejected).await;
    holds(run.reason.as_deref(), "agree too little");
}

#[tokio::test]
async fn too_few_texts_of_a_class_end_the_run_with_that_reason() {
    let world = World::new().await;
    world.set("sampling", json!({"min_class": 60})).await;
    let run = world.until(RunState::Rejected).await;
    holds(run.reason.as_deref(), "too few texts to train on for hate");
}

#[tokio::test]
async fn a_budget_is_never_passed_and_what_it_bought_is_used() {
    let world = World::new().await;
    world.set("budgets", json!({"run_tokens": 7050, "run_dollars": 1})).await;
    let run = world.until(RunState::Shadow).await;
    assert_eq!(world.outer.asked.load(Ordering::Relaxed), 70);
    let labeling = run.labeling.expect("was labeled");
    assert_eq!((&labeling["labeled"], &labeling["budget_used_up"]), (&json!(70), &json!(true)));
}

#[tokio::test]
async fn a_job_that_fails_says_why() {
    let world = World::new().await;
    world.outer.job_fails.store(true, Ordering::Relaxed);
    let run = world.until(RunState::Failed).await;
    holds(run.reason.as_deref(), "AlgorithmError: out of memory");
}

#[tokio::test]
async fn a_challenger_that_learnt_nothing_is_refused_by_the_gate() {
    let world = World::new().await;
    world.outer.dull.store(true, Ordering::Relaxed);
    let run = world.until(RunState::Rejected).await;
    holds(run.reason.as_deref(), "the gate refused: macro-F1 difference");
    assert_eq!(*world.outer.versions.lock().expect("no panic"), ["v1"]);
    assert!(world.switches().await.is_empty());
}

#[tokio::test]
async fn a_challenger_that_goes_bad_in_canary_is_rolled_back_without_a_person() {
    let world = World::new().await;
    world.until(RunState::Shadow).await;
    world.serve(false).await;
    assert_eq!(world.tick().await.state, Some(RunState::Canary));
    world.serve(true).await;
    assert_eq!(world.tick().await.state, Some(RunState::RolledBack));
    holds(world.run().await.reason.as_deref(), "failed its trial in canary: shift of flagged texts");
    assert_eq!(world.switches().await, [SwitchAction::Shadow, SwitchAction::Canary, SwitchAction::Withdraw]);
    assert_eq!(*world.outer.aliases.lock().expect("no panic"), ("v1".to_owned(), None));
}

#[tokio::test]
async fn a_person_may_withdraw_or_promote_at_any_time() {
    let world = World::new().await;
    let run = world.until(RunState::Shadow).await;
    world.store().await.roll_back(&Actor::local("somebody"), "no").await.expect("withdrawn");
    assert_eq!(world.tick().await.state, Some(RunState::RolledBack));
    holds(world.run().await.reason.as_deref(), "by hand");
    world
        .store()
        .await
        .promote(&run.challenger_version, &Actor::local("somebody"), "yes")
        .await
        .expect("promoted");
    world.tick().await;
    assert_eq!(world.outer.aliases.lock().expect("no panic").0, run.challenger_version.as_str());
}

#[tokio::test]
async fn a_drift_of_a_model_that_is_gone_is_no_reason_any_more() {
    let world = World::new().await;
    let client = world.database.client().await;
    client
        .batch_execute("insert into models (version, labels, baseline, bundle_uri) values ('v0', '{hate}', '{}', 's3://b/v0')")
        .await
        .expect("stored");
    let sql = "insert into drift_episodes (community_id, model_id) select c.id, m.id from communities c, models m where m.version = 'v0' returning id";
    let episode: i64 = client.query_one(sql, &[]).await.expect("stored").get(0);
    let request = json!({"kind": "drift", "episode": episode, "community": "r/city_talk", "model": "v0",
        "reason": "PSI", "window_start": "2026-11-22T10:00:00Z", "window_end": "2026-11-22T11:00:00Z"});
    let records: Vec<_> = [request.to_string(), request.to_string(), "poison".to_owned()]
        .iter()
        .enumerate()
        .map(|(n, body)| json!({"messageId": format!("m{n}"), "body": body}))
        .collect();
    let answer = world.invoke(json!({"Records": records})).await.expect("alive").expect("goes well");
    let answer = serde_json::to_value(&answer).expect("JSON");
    assert_eq!(answer["batchItemFailures"], json!([{"itemIdentifier": "m2"}]));
    let runs = world.store().await.runs(9).await.expect("reads");
    assert_eq!((runs.len(), runs[0].state), (1, RunState::Rejected));
    holds(runs[0].reason.as_deref(), "v1 took over since");
}
