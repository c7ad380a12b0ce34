use modloop_domain::RunState;
use modloop_domain::{Actor, ModelVersion, Probability};
use modloop_store::Store;
use modloop_store::models::SwitchAction;
use modloop_store::models::{ChallengerMode, HealthEntry, NewModel, SwitchError, TrialStart};
use modloop_store::predictions::BatchHealth;
use modloop_store::runs::{Change, RunUpdate};
use modloop_store::testing::TestDatabase;
use serde_json::json;

use super::{bring_to, with_run};
use crate::models::model;

fn version(text: &str) -> ModelVersion {
    text.parse().expect("a version")
}

fn start(mode: ChallengerMode) -> TrialStart {
    TrialStart { mode, share: Probability::new(0.25).expect("a share") }
}

/// A run whose challenger is registered.
async fn registered() -> (TestDatabase, Store, i64, ModelVersion) {
    let (database, store, run) = with_run().await;
    let challenger = store.run(run).await.expect("reads").expect("a run").challenger_version;
    let bundle_uri = Some(format!("s3://bundles/{challenger}.tar.gz"));
    store.register_model(&NewModel { bundle_uri, ..model(challenger.as_str()) }).await.expect("registered");
    bring_to(&store, run, RunState::Registered).await;
    (database, store, run, challenger)
}

async fn actions(store: &Store) -> Vec<SwitchAction> {
    let mut switches = store.switches(10).await.expect("reads");
    switches.reverse();
    switches.into_iter().map(|switch| switch.action).collect()
}

/// Fills what every move needs.
macro_rules! change {
    () => {
        Change { update: &RunUpdate::default(), what: "a test", facts: &json!({}) }
    };
}

#[tokio::test]
async fn a_challenger_goes_through_shadow_and_canary_to_champion_with_one_switch_each() {
    let (_database, store, run, challenger) = registered().await;
    for _ in 0..2 {
        store
            .start_trial(run, RunState::Registered, start(ChallengerMode::Shadow), change!())
            .await
            .expect("shadow");
    }
    store.start_trial(run, RunState::Shadow, start(ChallengerMode::Canary), change!()).await.expect("canary");
    let serving = store.serving().await.expect("reads").challenger.expect("on trial");
    assert_eq!((serving.mode, serving.share.get()), (ChallengerMode::Canary, 0.25));
    assert!(store.promote_challenger(run, change!()).await.expect("promotes").is_some());
    assert!(store.promote_challenger(run, change!()).await.expect("asks").is_none(), "once");

    let serving = store.serving().await.expect("reads");
    assert_eq!(serving.champion.map(|c| c.version), Some(challenger.clone()));
    assert!(serving.challenger.is_none());
    assert_eq!(actions(&store).await, [SwitchAction::Shadow, SwitchAction::Canary, SwitchAction::Promote]);

    // And back by hand: the model before ships with the function, so no alias is left.
    let (left, decides) = store.roll_back(&Actor::local("a test"), "it annoys").await.expect("goes back");
    assert_eq!((left, decides), (challenger, version("v1")));
    assert!(store.serving().await.expect("reads").champion.is_none());
    assert_eq!(store.champion().await.expect("reads"), Some(version("v1")));

    // A second time does not bring the model again that was just left.
    assert!(matches!(
        store.roll_back(&Actor::local("a test"), "again").await,
        Err(SwitchError::NothingBefore)
    ));
    assert_eq!(store.champion().await.expect("reads"), Some(version("v1")));
}

#[tokio::test]
async fn rolling_back_undoes_promotions_one_by_one_and_never_returns() {
    let (_database, store, _run, second) = registered().await;
    let roll_back = async || store.roll_back(&Actor::local("somebody"), "no").await;
    store.promote(&second, &Actor::local("somebody"), "better").await.expect("promotes");
    store.promote(&version("v1"), &Actor::local("somebody"), "back, as a promotion").await.expect("promotes");
    assert_eq!(roll_back().await.expect("undoes the last"), (version("v1"), second.clone()));
    assert!(matches!(roll_back().await, Err(SwitchError::NothingBefore)), "v1 was left");

    // Promoted anew it may be gone back to again.
    store.promote(&version("v1"), &Actor::local("somebody"), "after all").await.expect("promotes");
    store.promote(&second, &Actor::local("somebody"), "better").await.expect("promotes");
    assert_eq!(roll_back().await.expect("goes back"), (second, version("v1")));
}

#[tokio::test]
async fn a_challenger_that_goes_bad_leaves_and_the_champion_was_never_away() {
    let (_database, store, run, _) = registered().await;
    store
        .start_trial(run, RunState::Registered, start(ChallengerMode::Shadow), change!())
        .await
        .expect("shadow");
    let progress = RunUpdate { reason: Some("slow".into()), ..RunUpdate::default() };
    let change = Change { update: &progress, what: "withdrawn", facts: &json!({}) };
    for _ in 0..2 {
        store
            .withdraw_challenger(run, (RunState::Shadow, RunState::RolledBack), change)
            .await
            .expect("withdraws");
    }
    assert!(store.serving().await.expect("reads").challenger.is_none());
    assert_eq!(actions(&store).await, [SwitchAction::Shadow, SwitchAction::Withdraw]);
    let run = store.run(run).await.expect("reads").expect("a run");
    assert_eq!((run.state, run.reason.as_deref()), (RunState::RolledBack, Some("slow")));
}

#[tokio::test]
async fn a_challenger_that_a_person_withdrew_is_not_promoted() {
    let (_database, store, run, challenger) = registered().await;
    store
        .start_trial(run, RunState::Registered, start(ChallengerMode::Canary), change!())
        .await
        .expect("canary");
    let (left, decides) = store.roll_back(&Actor::local("somebody"), "no").await.expect("withdrawn");
    assert_eq!((left, decides), (challenger, version("v1")));
    assert!(store.promote_challenger(run, change!()).await.expect("asks").is_none());
    assert!(store.serving().await.expect("reads").champion.is_none());
}

#[tokio::test]
async fn a_switch_by_hand_needs_a_known_model_and_leaves_an_audit_row() {
    let (_database, store, _run, challenger) = registered().await;
    let unknown =
        store.promote(&version("v404"), &Actor::local("somebody"), "why not").await.expect_err("unknown");
    assert!(matches!(unknown, SwitchError::Unknown(_)), "{unknown}");
    let same = store
        .promote(&version("v1"), &Actor::local("somebody"), "why not")
        .await
        .expect_err("is the champion");
    assert!(matches!(same, SwitchError::AlreadyChampion(_)), "{same}");
    assert!(matches!(
        store.roll_back(&Actor::local("somebody"), "no").await,
        Err(SwitchError::NothingBefore)
    ));

    store.promote(&challenger, &Actor::local("somebody"), "urgent").await.expect("promotes");
    let waiting = store.unmirrored_switches().await.expect("reads");
    assert_eq!(
        (waiting.len(), waiting[0].actor.as_str(), waiting[0].reason.as_str()),
        (1, "local:somebody", "urgent")
    );
    store.mark_mirrored(waiting[0].id).await.expect("marked");
    assert!(store.unmirrored_switches().await.expect("reads").is_empty());
    let roles: Vec<_> = store.known_models().await.expect("reads").into_iter().map(|m| m.role).collect();
    assert_eq!(roles, [Some("champion".to_owned()), None]);
}

#[tokio::test]
async fn health_adds_up_over_batches() {
    let (_database, store, run, challenger) = registered().await;
    store
        .start_trial(run, RunState::Registered, start(ChallengerMode::Shadow), change!())
        .await
        .expect("shadow");
    let on_trial = store.serving().await.expect("reads").challenger.expect("on trial");
    let entry = |model: &ModelVersion, failed| HealthEntry {
        model: model.clone(),
        items: 10,
        failed,
        load_failures: 0,
        milliseconds: 40.5,
    };
    for _ in 0..2 {
        let entries = [entry(&challenger, 1), entry(&version("v1"), 0)];
        let health = BatchHealth { challenger: &on_trial, entries: &entries };
        store.record_predictions(&[], Some(health)).await.expect("added");
    }
    let numbers = store.trial_numbers(&challenger, &version("v1")).await.expect("reads").expect("on trial");
    assert_eq!((numbers.challenger.items, numbers.challenger.failed, numbers.champion.failed), (20, 2, 0));
    assert!((numbers.champion.milliseconds - 81.0).abs() < 1e-9);
    assert_eq!(numbers.pairs, 0);
}
