use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use modloop_domain::{Actor, ItemId, Label};
use modloop_store::Store;
use modloop_store::labels::{HumanLabel, LabelKind, LlmLabel, SampledItem};
use modloop_store::testing::TestDatabase;

use super::asked;
use crate::predictions::{comment, prediction, read, with_comments};

fn name(text: &str) -> ItemId {
    text.parse().expect("an id")
}

fn hate() -> Label {
    "hate".parse().expect("a label")
}

fn says(hate: bool) -> BTreeMap<Label, bool> {
    BTreeMap::from([(self::hate(), hate)])
}

/// Scored comments and a run.
async fn scored(bodies: &[&str]) -> (TestDatabase, Store, i64) {
    let (database, store) = with_comments(bodies).await;
    let names: Vec<String> = (1..=bodies.len()).map(|n| format!("t1_{n}")).collect();
    let items = read(&store, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let predictions: Vec<_> = items.iter().map(|item| prediction(item, 0.7)).collect();
    store.record_predictions(&predictions, None).await.expect("recorded");
    let (run, _) = store.request_run(&asked()).await.expect("stored");
    (database, store, run)
}

async fn sample(store: &Store, run: i64) {
    let candidates = store.candidates(run, Utc::now() - TimeDelta::days(1), 100).await.expect("reads");
    let items: Vec<_> = candidates
        .iter()
        .map(|c| SampledItem {
            item: c.id.clone(),
            content_hash: c.content_hash,
            stratum: "rust/clear".into(),
            weight: 2.0,
            gold: false,
        })
        .collect();
    store.save_sample(run, &items).await.expect("saved");
    store.save_sample(run, &items).await.expect("saved again");
}

async fn label(store: &Store, run: i64, hate: bool) -> Vec<LlmLabel> {
    let items = store.unlabeled(run, 3, 100).await.expect("reads");
    let labels: Vec<_> = items
        .into_iter()
        .map(|item| LlmLabel {
            item: item.id,
            content_hash: item.content_hash,
            values: says(hate),
            model: "llm-1".into(),
            rubric_version: "1".into(),
            rationale: "because it says so".into(),
            tokens: 300,
            cost_micros: 45,
        })
        .collect();
    store.record_llm_labels(run, &labels).await.expect("stored");
    labels
}

#[tokio::test]
async fn only_present_scored_items_without_a_label_are_candidates_and_each_is_labeled_once() {
    let (database, store, run) = scored(&["one", "two", "three"]).await;
    database.insert_item("rust", "t1_9", &comment("not scored")).await;
    database.delete_text("t1_2").await;
    sample(&store, run).await;
    let labels = label(&store, run, true).await;
    let mut names: Vec<_> = labels.iter().map(|label| label.item.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["t1_1", "t1_3"]);
    assert!(store.unlabeled(run, 3, 100).await.expect("reads").is_empty());
    assert!(store.candidates(run, Utc::now() - TimeDelta::days(1), 9).await.expect("reads").is_empty());
    let items = store.labeled_items(run, &"v1".parse().expect("a version"), 10).await.expect("reads");
    assert_eq!(items.len(), 2);
    assert!(items.iter().all(|item| item.in_run && item.is_new && item.weight == 2.0));
    assert_eq!(items[0].champion_scores.as_deref(), Some(&[0.7, 0.1][..]));
}

#[tokio::test]
async fn an_item_that_is_refused_again_and_again_is_left_alone() {
    let (_database, store, run) = scored(&["one"]).await;
    sample(&store, run).await;
    for _ in 0..3 {
        assert_eq!(store.unlabeled(run, 3, 9).await.expect("reads").len(), 1);
        store.count_refusals(run, &[name("t1_1")]).await.expect("counted");
    }
    assert!(store.unlabeled(run, 3, 9).await.expect("reads").is_empty());
}

#[tokio::test]
async fn a_person_outranks_the_llm_and_agreement_is_counted() {
    let (_database, store, run) = scored(&["one", "two"]).await;
    sample(&store, run).await;
    label(&store, run, true).await;
    let person = |name_: &str, hate| HumanLabel { item: name(name_), values: says(hate) };
    let given = [person("t1_1", false), person("t1_2", true), person("t1_404", true)];
    let imported = store.import_labels(&Actor::local("test"), "a test", &given).await.expect("stored");
    assert_eq!((imported.items, imported.unknown), (2, vec![name("t1_404")]));

    let items = store.labeled_items(run, &"v1".parse().expect("a version"), 10).await.expect("reads");
    let first = items.iter().find(|item| item.id == name("t1_1")).expect("labeled");
    assert_eq!(first.labels[&hate()], (false, LabelKind::Person));
    let agreed = store.agreement(run).await.expect("reads");
    assert_eq!((agreed[0].both, agreed[0].llm_only, agreed[0].human_only, agreed[0].neither), (1, 1, 0, 0));
}

#[tokio::test]
async fn a_rationale_goes_with_the_text_and_an_edited_text_gets_no_label() {
    let (database, store, run) = scored(&["one", "two"]).await;
    sample(&store, run).await;
    let labels = label(&store, run, true).await;
    database.delete_text("t1_1").await;
    let sql = "select count(*) from rationales where item_id = 't1_1'";
    let left: i64 = database.client().await.query_one(sql, &[]).await.expect("counts").get(0);
    assert_eq!(left, 0);
    database.client().await.batch_execute("delete from labels").await.expect("emptied");
    database.insert_item("rust", "t1_2", &comment("edited")).await;
    store.record_llm_labels(run, &labels).await.expect("nothing to store");
    let items = store.labeled_items(run, &"v1".parse().expect("a version"), 10).await.expect("reads");
    assert!(items.is_empty(), "{items:?}");
}
