//! What a function does: find the cloud by its environment alone.

use std::process::Command;

use modloop_cloud::{BundleStorage, RetrainQueue, sdk_config, secret};
use serde_json::{Value, json};

use crate::cloud::CREDENTIAL;
use crate::made::Corner;
use crate::queues::take;

/// Set in the second process: bucket, queue and secret.
const CHILD: &str = "MODLOOP_TEST_CHILD";

#[tokio::test]
async fn aws_endpoint_url_leads_every_client_to_the_cloud() {
    if let Ok(names) = std::env::var(CHILD) {
        return act(&serde_json::from_str(&names).expect("names")).await;
    }
    let corner = Corner::open().await;
    let names = json!({
        "bucket": corner.bucket().await,
        "queue": corner.queue().await,
        "secret": corner.secret(r#"{"key":"value"}"#).await,
    });
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.args(["--exact", "environment::aws_endpoint_url_leads_every_client_to_the_cloud", "--nocapture"]);
    child.env(CHILD, names.to_string()).env("AWS_ENDPOINT_URL", corner.cloud.url());
    child.env("AWS_REGION", corner.cloud.region());
    if !corner.cloud.has_credentials_in_environment() {
        child.env("AWS_ACCESS_KEY_ID", CREDENTIAL).env("AWS_SECRET_ACCESS_KEY", CREDENTIAL);
    }
    let output = tokio::task::spawn_blocking(move || child.output()).await.expect("a thread");
    let output = output.expect("a second process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");

    let queue = names["queue"].as_str().expect("a queue");
    assert_eq!(take(&corner.sqs(), queue, 1).await[0].body(), Some(r#"{"kind":"tick"}"#));
    let bucket = names["bucket"].as_str().expect("a bucket");
    assert!(corner.s3().head_object().bucket(bucket).key("runs/x/train.jsonl").send().await.is_ok());
}

async fn act(names: &Value) {
    let name = |what: &str| names[what].as_str().expect("a name");
    let config = sdk_config().await;
    let found: Value = secret(&config, name("secret")).await.expect("a secret");
    assert_eq!(found, json!({"key": "value"}));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("train.jsonl");
    std::fs::write(&file, "{}\n").expect("written");
    let uri = format!("s3://{}/runs/x/train.jsonl", name("bucket"));
    BundleStorage::new(&config).upload(&file, &uri).await.expect("uploads");
    RetrainQueue::new(&config, name("queue"))
        .send(&modloop_domain::RetrainMessage::Tick)
        .await
        .expect("sent");
}
