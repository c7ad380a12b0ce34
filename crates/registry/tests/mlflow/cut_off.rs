//! Whatever call is lost, a repeat ends in one run and one version.

use modloop_bundle::{Bundle, testing};
use modloop_registry::testing::{registry, settings, tracking_uri};
use modloop_registry::{Alias, Login, Registry, Retries, RunInfo, register_bundle};
use serde_json::{Value, json};

use crate::proxy::{Fault, Proxy};

pub(crate) fn tiny_bundle(place: &tempfile::TempDir, version: &str) -> Bundle {
    let bundle = testing::bundle(&place.path().join("bundle"), version, 1);
    std::fs::write(bundle.path("README.md"), "# Model card\n").expect("a card");
    bundle
}

/// What MLflow holds, asked without this crate.
pub(crate) async fn ask(path: &str, body: Option<Value>) -> Value {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/api/2.0/mlflow/{path}", tracking_uri());
    let request = match body {
        Some(body) => http.post(url).body(body.to_string()).header("content-type", "application/json"),
        None => http.get(url),
    };
    let text = request.send().await.expect("an answer").text().await.expect("whole");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

/// Names of the active runs of an experiment, and the versions of the model of the same name.
async fn held(name: &str) -> (Vec<Value>, Vec<Value>) {
    let experiment = ask(&format!("experiments/get-by-name?experiment_name={name}"), None).await;
    let search = json!({ "experiment_ids": [experiment["experiment"]["experiment_id"]] });
    let runs = ask("runs/search", Some(search)).await;
    let versions = ask(&format!("model-versions/search?filter=name%3D'{name}'"), None).await;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    (list(&runs["runs"]), list(&versions["model_versions"]))
}

#[tokio::test]
async fn a_registration_cut_off_at_any_call_is_completed_by_the_next() {
    let place = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(&place, "cut.1");
    let mut lost = 0;
    loop {
        let proxy =
            Proxy::start(
                &tracking_uri(),
                move |number| {
                    if number == lost { Fault::AnswerLost } else { Fault::None }
                },
            )
            .await;
        let registry = Registry::new(settings(&proxy.url, Login::None)).expect("settings");
        let first = register_bundle(&registry, &bundle, &RunInfo::default()).await;
        if proxy.seen().len() <= lost {
            // No call was left to lose.
            first.expect("undisturbed");
            break;
        }
        let error = first.expect_err("one answer was lost");
        assert!(error.is_retryable(), "{error}");
        let second = register_bundle(&registry, &bundle, &RunInfo::default()).await.expect("completed");
        let third = register_bundle(&registry, &bundle, &RunInfo::default()).await.expect("repeated");
        assert_eq!(second, third);

        let (runs, versions) = held(registry.model_name()).await;
        assert_eq!((runs.len(), versions.len()), (1, 1), "after {:?}", proxy.seen()[lost].line);
        assert_eq!(runs[0]["info"]["status"], "FINISHED");
        assert_eq!(versions[0]["run_id"], second.run_id.as_str());
        lost += 1;
    }
    assert!(lost >= 12, "only {lost} calls");
}

#[tokio::test]
async fn faults_on_the_way_are_ridden_out_without_duplicates() {
    let place = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(&place, "rough.1");
    let proxy = Proxy::start(&tracking_uri(), |number| match number % 4 {
        1 => Fault::AnswerLost,
        3 => Fault::Refused,
        _ => Fault::None,
    })
    .await;
    let quick = Retries {
        attempts: 8,
        first_wait: std::time::Duration::from_millis(5),
        max_wait: std::time::Duration::from_millis(20),
    };
    let settings = settings(&proxy.url, Login::None).with_retries(quick);
    let registry = Registry::new(settings).expect("settings");
    let registered = register_bundle(&registry, &bundle, &RunInfo::default()).await.expect("in the end");
    registry.set_alias(Alias::Champion, registered.registry_version).await.expect("set");
    let (runs, versions) = held(registry.model_name()).await;
    assert_eq!((runs.len(), versions.len()), (1, 1));
}

#[tokio::test]
async fn two_at_the_same_moment_agree_on_one_version() {
    let place = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(&place, "twice.1");
    let registry = registry();
    let info = RunInfo::default();
    let both =
        tokio::join!(register_bundle(&registry, &bundle, &info), register_bundle(&registry, &bundle, &info));
    // One may find its run taken away by the other; the next invocation then finds the other's.
    assert!(both.0.is_ok() || both.1.is_ok(), "{both:?}");
    let last = register_bundle(&registry, &bundle, &info).await.expect("settled");
    let (runs, versions) = held(registry.model_name()).await;
    assert_eq!((runs.len(), versions.len()), (1, 1));
    assert_eq!(runs[0]["info"]["run_id"], last.run_id.as_str());
}
