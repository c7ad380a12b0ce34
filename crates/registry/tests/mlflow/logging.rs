use std::collections::BTreeMap;

use modloop_registry::testing::registry;
use modloop_registry::{Entries, RunInfo, RunKey, register_bundle};
use serde_json::Value;

use crate::cut_off::{ask, tiny_bundle};

async fn run_data(id: &str) -> Value {
    ask(&format!("runs/get?run_id={id}"), None).await["run"]["data"].clone()
}

fn value(data: &Value, kind: &str, key: &str) -> Value {
    let all = data[kind].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|entry| entry["key"] == key).map_or(Value::Null, |entry| entry["value"].clone())
}

#[tokio::test]
async fn a_bundle_and_its_training_are_told_in_the_run() {
    let (registry, place) = (registry(), tempfile::tempdir().expect("a folder"));
    let bundle = tiny_bundle(&place, "told.1");
    let info = RunInfo {
        data_set: Some("ab".repeat(32)),
        params: BTreeMap::from([("epochs".into(), "3".into())]),
        metrics: BTreeMap::from([("gate/difference".into(), 0.02)]),
        ..RunInfo::default()
    };
    let registered = register_bundle(&registry, &bundle, &info).await.expect("registered");
    let data = run_data(&registered.run_id).await;
    assert_eq!(value(&data, "params", "base_model"), "tiny");
    assert_eq!(value(&data, "params", "window_tokens"), "128");
    assert_eq!(value(&data, "params", "epochs"), "3");
    assert_eq!(value(&data, "metrics", "gate/difference"), 0.02);
    assert_eq!(value(&data, "tags", "modloop.data_set"), "ab".repeat(32));
    let version = ask(
        &format!("model-versions/get?name={}&version={}", registry.model_name(), registered.registry_version),
        None,
    )
    .await;
    let tags = &version["model_version"];
    assert_eq!(value(tags, "tags", "modloop.version"), "told.1");
    assert_eq!(value(tags, "tags", "modloop.data_set"), "ab".repeat(32));
    assert!(version["model_version"]["source"].as_str().is_some_and(|s| s.ends_with("/artifacts/bundle")));
}

#[tokio::test]
async fn names_and_values_that_mlflow_refuses_are_bent_into_shape() {
    let registry = registry();
    let experiment = registry.experiment().await.expect("an experiment");
    let key: RunKey = "hostile".parse().expect("a key");
    let run = registry.run(&experiment, &key, "'; drop table runs; --").await.expect("a run");
    let mut entries = Entries::default();
    for number in 0..130 {
        entries.param(&format!("../p{number}\0<b>"), "'\u{202e}\0\"".repeat(3000));
        entries.tag(&format!("t{number}/"), "\u{1F600}\u{1b}[2J".repeat(3000));
    }
    (0..1100).for_each(|number| entries.metric(&format!("m {number} %"), f64::from(number)));
    entries.metric("nothing", f64::NAN);
    registry.log(&run, &entries).await.expect("logged");
    registry.log(&run, &entries).await.expect("logged again");
    let data = run_data(&run.id).await;
    let count = |kind: &str| data[kind].as_array().map_or(0, Vec::len);
    assert_eq!((count("params"), count("metrics")), (130, 1100));
    let history = ask(&format!("metrics/get-history?run_id={}&metric_key=m%207%20_", run.id), None).await;
    assert_eq!(history["metrics"].as_array().map(Vec::len), Some(1), "{history}");
}

#[tokio::test]
async fn an_experiment_that_somebody_deleted_is_taken_back() {
    let registry = registry();
    let experiment = registry.experiment().await.expect("an experiment");
    let path = format!("experiments/get-by-name?experiment_name={}", registry.experiment_name());
    let id = ask(&path, None).await["experiment"]["experiment_id"].clone();
    ask("experiments/delete", Some(serde_json::json!({ "experiment_id": id }))).await;
    assert_eq!(registry.experiment().await.expect("taken back"), experiment);
    assert_eq!(ask(&path, None).await["experiment"]["lifecycle_stage"], "active");
}
