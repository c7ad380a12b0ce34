//! Runs that end before a challenger takes over, each with its reason.

use std::sync::atomic::Ordering;

use modloop_store::{HumanLabel, RunState, Spend};
use serde_json::json;

use crate::world::World;

fn holds(reason: Option<&str>, words: &str) {
    assert!(reason.is_some_and(|reason| reason.contains(words)), "{words}: {reason:?}");
}

#[tokio::test]
async fn without_permission_no_text_leaves_and_the_champion_is_measured() {
    let mut world = World::new().await;
    world.settings.permission = false;
    let run = world.until(RunState::Rejected).await;
    holds(run.reason.as_deref(), "TRAINING_PERMISSION is off");
    holds(run.reason.as_deref(), "recall 0.00");
    assert!(world.outer.jobs.lock().expect("no panic").is_empty());
    assert!(world.outer.files.lock().expect("no panic").is_empty());
    assert!(run.champion_quality.is_some_and(|quality| quality["hate"]["items"] == 100));
}

#[tokio::test]
async fn a_labeller_that_contradicts_people_stops_the_run() {
    let world = World::new().await;
    let store = world.store().await;
    let says = |coded: bool| ["hate", "offensive"].map(|l| (l.parse().expect("a label"), coded)).into();
    let person = |n: usize| HumanLabel {
        fullname: format!("t1_{n}").parse().expect("a fullname"),
        values: says(n.is_multiple_of(3)),
    };
    let labels: Vec<HumanLabel> = (0..30).map(person).collect();
    store.import_labels("a test", &labels).await.expect("stored");
    world.outer.lies.store(true, Ordering::Relaxed);
    let run = world.until(RunState::Rejected).await;
    holds(run.reason.as_deref(), "agree too little");
}

#[tokio::test]
async fn too_few_texts_of_a_class_end_the_run_with_that_reason() {
    let mut world = World::new().await;
    world.settings.run.least_class = 60;
    let run = world.until(RunState::Rejected).await;
    holds(run.reason.as_deref(), "too few texts to train on for hate");
}

#[tokio::test]
async fn a_budget_is_never_passed_and_what_it_bought_is_used() {
    let mut world = World::new().await;
    world.settings.run.run_budget = Spend { tokens: 7050, micros: 1_000_000 };
    let run = world.until(RunState::Shadow).await;
    assert_eq!(world.outer.asked.load(Ordering::Relaxed), 70);
    let labelling = run.labelling.expect("was labelled");
    assert_eq!((&labelling["labelled"], &labelling["budget_used_up"]), (&json!(70), &json!(true)));
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
    holds(world.run().await.reason.as_deref(), "went bad in canary: shift of flagged texts");
    assert_eq!(world.switches().await, ["shadow", "canary", "withdraw"]);
    assert_eq!(*world.outer.aliases.lock().expect("no panic"), ("v1".to_owned(), None));
}

#[tokio::test]
async fn a_person_may_withdraw_or_promote_at_any_time() {
    let world = World::new().await;
    let run = world.until(RunState::Shadow).await;
    world.store().await.roll_back("somebody", "no").await.expect("withdrawn");
    assert_eq!(world.tick().await.state, Some(RunState::RolledBack));
    holds(world.run().await.reason.as_deref(), "by hand");
    world.store().await.promote(&run.challenger_version, "somebody", "yes").await.expect("promoted");
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
    let sql = "insert into drift_episodes (subreddit_id, model_version) select id, 'v0' from subreddits returning id";
    let episode: i64 = client.query_one(sql, &[]).await.expect("stored").get(0);
    let request = json!({"episode": episode, "subreddit": "city_talk", "model_version": "v0", "reason": "PSI",
        "window": {"start": "2026-11-22T10:00:00Z", "end": "2026-11-22T11:00:00Z"}});
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
