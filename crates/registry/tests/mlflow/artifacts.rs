use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::{post, put};
use modloop_registry::testing::{registry, settings};
use modloop_registry::{Login, Registry, RegistryError, Run, RunInfo, RunKey, register_bundle};

use crate::cut_off::tiny_bundle;

async fn some_run(registry: &Registry) -> Run {
    let experiment = registry.experiment().await.expect("an experiment");
    let key: RunKey = "files".parse().expect("a key");
    registry.run(&experiment, &key, "files").await.expect("a run")
}

#[tokio::test]
async fn a_file_comes_back_as_it_went() {
    let (registry, place) = (registry(), tempfile::tempdir().expect("a folder"));
    let run = some_run(&registry).await;
    // Larger than any buffer on the way, and not the same everywhere.
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i ^ (i >> 8)) as u8).collect();
    let (there, back) = (place.path().join("there"), place.path().join("back.bin"));
    for content in [&b"an earlier one"[..], &bytes] {
        std::fs::write(&there, content).expect("written");
        registry.upload(&run, &there, "folder/with space.bin").await.expect("uploaded");
    }
    registry.download(&run, "folder/with space.bin", &back).await.expect("downloaded");
    assert!(std::fs::read(&back).expect("read") == bytes);

    let root = registry.artifacts(&run, "").await.expect("listed");
    assert!(matches!(&root[..], [folder] if folder.is_dir && folder.path == "folder"), "{root:?}");
    let files = registry.artifacts(&run, "folder").await.expect("listed");
    assert_eq!((files.len(), files[0].bytes), (1, Some(3_000_000)));
}

#[tokio::test]
async fn a_missing_file_is_named_and_leaves_nothing_behind() {
    let (registry, place) = (registry(), tempfile::tempdir().expect("a folder"));
    let run = some_run(&registry).await;
    let target = place.path().join("none.bin");
    let error = registry.download(&run, "none.bin", &target).await.expect_err("not there");
    assert!(error.to_string().contains("none.bin"), "{error}");
    assert!(!target.exists());
    let error = registry.upload(&run, Path::new("/no/such/file"), "x").await.expect_err("not here");
    assert!(!error.is_retryable() && error.to_string().contains("/no/such/file"), "{error}");
}

#[tokio::test]
async fn the_registered_bundle_can_be_fetched_and_opened() {
    let (registry, place) = (registry(), tempfile::tempdir().expect("a folder"));
    let bundle = tiny_bundle(&place, "fetch.1");
    let page = place.path().join("evaluation.html");
    std::fs::write(&page, "<html></html>").expect("written");
    let info = RunInfo { files: vec![page], ..RunInfo::default() };
    register_bundle(&registry, &bundle, &info).await.expect("registered");

    let experiment = registry.experiment().await.expect("an experiment");
    let run = registry.run(&experiment, &RunKey::from(bundle.version()), "").await.expect("the same run");
    let names: Vec<String> =
        registry.artifacts(&run, "").await.expect("listed").into_iter().map(|f| f.path).collect();
    assert_eq!(names, ["README.md", "bundle", "bundle.json", "evaluation.html"]);
    let archive = place.path().join("fetched.tar.gz");
    registry.download(&run, "bundle/bundle.tar.gz", &archive).await.expect("downloaded");
    let opened = modloop_bundle::unpack(&archive, &place.path().join("unpacked")).expect("whole");
    assert_eq!(opened.version(), bundle.version());
}

type Stored = Arc<Mutex<Vec<(String, Bytes)>>>;

/// A managed server on S3: it signs an address and never sees the file. As sagemaker-mlflow 0.5.0 speaks to it.
#[tokio::test]
async fn a_managed_server_on_s3_takes_files_at_signed_addresses() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = format!("http://{}", listener.local_addr().expect("an address"));
    let signed = format!("{server}/bucket/key?X-Amz-Signature=abc");
    let stored = Stored::default();
    let sign = move |body: String| async move {
        assert_eq!(body, r#"{"run_id":"r1","path":"card.md","expiration":900}"#);
        serde_json::json!({ "presigned_url": signed, "headers": { "x-amz-meta-run": "r1" } }).to_string()
    };
    let store = |State(stored): State<Stored>, headers: HeaderMap, body: Bytes| async move {
        assert_eq!(headers["content-length"], body.len().to_string().as_str());
        assert!(!headers.contains_key("authorization") && !headers.contains_key("transfer-encoding"));
        stored
            .lock()
            .expect("whole")
            .push((headers["x-amz-meta-run"].to_str().expect("text").to_owned(), body));
    };
    let router = Router::new()
        .route("/api/2.0/mlflow/artifacts/presigned-upload-url", post(sign))
        .route("/bucket/key", put(store))
        .with_state(Arc::clone(&stored));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });

    let token = modloop_registry::Secret::new("sesame");
    let registry = Registry::new(settings(&server, Login::Bearer { token })).expect("settings");
    let run = Run { id: "r1".into(), artifact_uri: "s3://bucket/1/r1/artifacts".into(), start_time: 0 };
    let place = tempfile::tempdir().expect("a folder");
    let card = place.path().join("card.md");
    std::fs::write(&card, "# Card").expect("written");
    registry.upload(&run, &card, "card.md").await.expect("uploaded");
    let held = stored.lock().expect("whole").clone();
    assert_eq!(held, [("r1".to_owned(), Bytes::from("# Card"))]);
    let error = registry.download(&run, "card.md", &card).await.expect_err("not that way");
    assert!(matches!(error, RegistryError::Artifacts { .. }), "{error}");
    serving.abort();
}
