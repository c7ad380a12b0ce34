use modloop_domain::Actor;
use modloop_settings::{Monitor, Trials};
use modloop_store::settings::ChangeError;
use modloop_store::testing::TestDatabase;
use serde_json::json;

#[tokio::test]
async fn settings_have_defaults_a_history_and_an_audit_entry() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let alice = Actor::local("alice");
    assert_eq!(store.settings::<Monitor>().await.expect("defaults"), Monitor::default());
    store.change_settings(&alice, "monitor", &json!({"breaches": 3})).await.expect("changed");
    store.change_settings(&alice, "monitor", &json!({"window_hours": 12})).await.expect("changed");
    let monitor: Monitor = store.settings().await.expect("reads");
    assert_eq!((monitor.breaches, monitor.window_hours), (3, 12.0));

    let history = store.settings_history("monitor").await.expect("reads");
    let versions: Vec<_> =
        history.iter().map(|version| (version.version, version.document["breaches"].clone())).collect();
    assert_eq!(versions, [(2, json!(3)), (1, json!(3)), (0, json!(2))]);
    let audit = store.audit(Some("setting:monitor"), 10).await.expect("reads");
    assert_eq!(audit.len(), 2);
    let change = |entry: usize| (&audit[entry].before, &audit[entry].after);
    assert_eq!(change(0).0.as_ref().map(|before| &before["window_hours"]), Some(&json!(24.0)));
    assert_eq!(change(0).1.as_ref().map(|after| &after["window_hours"]), Some(&json!(12.0)));
}

#[tokio::test]
async fn a_nested_field_is_changed_alone() {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    let fields = json!({"canary": {"items": 2000}});
    store.change_settings(&Actor::local("alice"), "trials", &fields).await.expect("changed");
    let trials: Trials = store.settings().await.expect("reads");
    assert_eq!((trials.canary.items, trials.canary.hours), (2000, 24.0));
    assert_eq!(trials.shadow, Trials::default().shadow);
}

#[tokio::test]
async fn of_two_changes_at_the_same_time_none_is_lost() {
    let database = TestDatabase::create().await;
    let (one, two) = (database.store().await, database.store().await);
    let (alice, bob) = (Actor::local("alice"), Actor::local("bob"));
    let (breaches, window_hours) = (json!({"breaches": 5}), json!({"window_hours": 48}));
    let (first, second) = tokio::join!(
        one.change_settings(&alice, "monitor", &breaches),
        two.change_settings(&bob, "monitor", &window_hours),
    );
    let refused = |outcome: &Result<_, ChangeError>| matches!(outcome, Err(ChangeError::ChangedMeanwhile(_)));
    let versions = one.settings_history("monitor").await.expect("reads").len() - 1;
    match (refused(&first), refused(&second)) {
        // One was refused, and knows it.
        (true, false) | (false, true) => assert_eq!(versions, 1),
        (false, false) => {
            let monitor: Monitor = one.settings().await.expect("reads");
            assert_eq!((versions, monitor.breaches, monitor.window_hours), (2, 5, 48.0));
        }
        (true, true) => panic!("both were refused: {first:?} {second:?}"),
    }
}
