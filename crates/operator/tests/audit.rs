//! Every command that changes something leaves an entry in the audit log, and none that changes nothing.

use modloop_domain::{Actor, CommunityThresholds, ItemText, Probability, Thresholds};
use modloop_operator::{Command, Operator, OperatorError};
use modloop_store::Store;
use modloop_store::labels::HumanLabel;
use modloop_store::testing::TestDatabase;
use serde_json::json;

async fn database() -> TestDatabase {
    let database = TestDatabase::create().await;
    database.register_model("v1", None).await;
    database.register_model("v2", Some("s3://models/v2.tar.gz")).await;
    database.insert_item("rust", "t1_1", &ItemText::new(None, "hello")).await;
    database
}

fn thresholds(review: f32) -> CommunityThresholds {
    let p = |value| Probability::new(value).expect("a probability");
    Thresholds::new(p(review), p(0.9)).expect("in order").into()
}

/// Does one command, in a way that changes something. The order of [`Command::ALL`] is one that works.
async fn perform(command: Command, operator: &Operator<'_>) -> Result<(), OperatorError> {
    let (rust, cats) = ("r/rust".parse().expect("a name"), "r/cats".parse().expect("a name"));
    match command {
        Command::AddCommunity => assert!(operator.add_community(&cats).await?),
        Command::SetThresholds => assert!(operator.set_thresholds(&rust, &thresholds(0.4)).await?),
        Command::DisableCommunity => assert!(operator.disable_community(&rust).await?),
        Command::EnableCommunity => assert!(operator.enable_community(&rust).await?),
        Command::ImportLabels => {
            let values = [("hate".parse().expect("a label"), true)].into();
            let label = HumanLabel { item: "t1_1".parse().expect("an id"), values };
            assert_eq!(operator.import_labels("a file", &[label]).await?.items, 1);
        }
        Command::Forget => assert_eq!(operator.forget("u/Somebody").await?.items.len(), 1),
        Command::RequestRun => assert_eq!(operator.request_run("a test").await?, 1),
        Command::StopRun => drop(operator.stop_run(1).await?),
        Command::ChangeSettings => {
            let saved = operator.change_settings("monitor", &json!({"breaches": 3})).await?;
            assert_eq!((saved.version, &saved.document["breaches"]), (1, &json!(3)));
        }
        Command::GrantTraining => operator.grant_training("they agreed", Some(&[rust])).await?,
        Command::WithdrawTraining => assert!(operator.withdraw_training().await?),
        Command::Promote => drop(operator.promote(&"v2".parse().expect("a version"), "better").await?),
        Command::RollBack => drop(operator.roll_back("worse").await?),
    }
    Ok(())
}

async fn entries(store: &Store) -> usize {
    store.audit(None, 1000).await.expect("reads").len()
}

#[tokio::test]
async fn every_command_that_changes_something_leaves_an_entry_with_its_actor() {
    let database = database().await;
    let store = database.store().await;
    let operator = Operator::new(&store, Actor::local("alice"));
    for command in Command::ALL {
        let before = entries(&store).await;
        perform(command, &operator).await.unwrap_or_else(|e| panic!("{command:?}: {e}"));
        assert!(entries(&store).await > before, "{command:?} changed something without an entry");
        let latest = store.audit(None, 1).await.expect("reads").remove(0);
        assert_eq!(latest.actor, "local:alice", "{command:?}");
    }
    let log = serde_json::to_string(&store.audit(None, 1000).await.expect("reads")).expect("JSON");
    assert!(!log.to_lowercase().contains("somebody"), "the log holds no names of authors: {log}");
}

#[tokio::test]
async fn a_command_that_changes_nothing_leaves_no_entry() {
    let database = database().await;
    let store = database.store().await;
    let operator = Operator::new(&store, Actor::local("alice"));
    let rust = "rust".parse().expect("a name");
    assert!(!operator.add_community(&rust).await.expect("known"));
    assert!(!operator.enable_community(&rust).await.expect("known"));
    assert!(
        !operator
            .set_thresholds(&rust, &operator.community(&rust).await.expect("known").thresholds)
            .await
            .expect("known")
    );
    assert!(!operator.withdraw_training().await.expect("nothing to withdraw"));
    assert_eq!(entries(&store).await, 0);
}

#[tokio::test]
async fn mistakes_are_named() {
    let database = database().await;
    let store = database.store().await;
    let operator = Operator::new(&store, Actor::local("alice"));
    let unknown = "r/nowhere".parse().expect("a name");
    let refusals = [
        operator.disable_community(&unknown).await.expect_err("unknown").to_string(),
        operator.stop_run(7).await.expect_err("unknown").to_string(),
        operator.change_settings("monitor", &json!({"breaches": 0})).await.expect_err("range").to_string(),
        operator.change_settings("moniter", &json!({})).await.expect_err("name").to_string(),
        operator.forget("two words").await.expect_err("name").to_string(),
        operator.grant_training(" ", None).await.expect_err("empty").to_string(),
        operator.grant_training("yes", Some(&[unknown])).await.expect_err("unknown").to_string(),
    ];
    let words = [
        "r/nowhere is not known here",
        "there is no run 7",
        "monitor.breaches is 0; expected a whole number from 1 to 100",
        "there are no settings named \"moniter\"",
        "is not the name of an author",
        "the statement is empty",
        "r/nowhere is not known here",
    ];
    for (refusal, words) in refusals.iter().zip(words) {
        assert!(refusal.contains(words), "{refusal}");
    }
    assert!(operator.forget("nobody_here").await.expect("nothing").items.is_empty());
}
