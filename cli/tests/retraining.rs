//! `modloop retrain`, `runs`, `labels` and `models` as an operator runs them, against a real Postgres.

use std::process::{Command, Output};

use modloop_domain::ItemText;
use modloop_store::testing::TestDatabase;
use serde_json::{Value, json};

async fn database() -> TestDatabase {
    let database = TestDatabase::create().await;
    database.register_model("v1", None).await;
    database.register_model("v2", Some("s3://models/bundles/v2.tar.gz")).await;
    database.insert_item("rust", "t1_1", &ItemText::new(None, "hello")).await;
    database
}

fn modloop(database: &TestDatabase, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_modloop"))
        .args(arguments)
        .env("DATABASE_URL", database.url())
        .env("USER", "somebody")
        .env_remove("RETRAIN_QUEUE_URL")
        .output()
        .expect("modloop runs")
}

fn text(database: &TestDatabase, arguments: &[&str]) -> String {
    let output = modloop(database, arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[tokio::test]
async fn a_run_is_asked_for_listed_and_told() {
    let database = database().await;
    assert!(text(&database, &["runs"]).contains("No training runs yet."));
    let asked: Value =
        serde_json::from_str(&text(&database, &["retrain", "--reason", "new slang", "--json"]))
            .expect("JSON");
    assert_eq!(asked, json!({"run": 1}));
    let list = text(&database, &["runs"]);
    assert!(list.contains("requested") && list.contains("local:somebody: new slang"), "{list}");
    let story = text(&database, &["runs", "show", "1"]);
    assert!(story.contains("run 1, requested") && story.contains("requested by operator"), "{story}");
    let unknown = modloop(&database, &["runs", "show", "9"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no run 9"), "{unknown:?}");
}

#[tokio::test]
async fn a_switch_by_hand_and_back_leaves_its_trace() {
    let database = database().await;
    assert!(text(&database, &["models", "promote", "v2", "--reason", "urgent"]).contains("instead of v1"));
    let list = text(&database, &["models", "list"]);
    assert!(list.contains("champion") && list.contains("promote") && list.contains("urgent"), "{list}");
    assert!(text(&database, &["models", "rollback"]).contains("v2 is out of service; v1 is the champion"));
    let unknown = modloop(&database, &["models", "promote", "v9"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("v9 is not known here"), "{unknown:?}");
}

#[tokio::test]
async fn labels_are_imported_whole_or_not_at_all() {
    let database = database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("labels.jsonl");
    let path = file.to_str().expect("UTF-8");
    std::fs::write(&file, "{\"item\":\"t1_1\",\"hate\":1}\n{\"item\":\"t1_9\",\"hate\":0}\n")
        .expect("written");
    let told = text(&database, &["labels", "import", path]);
    assert!(told.contains("Stored labels of 1 item") && told.contains("t1_9"), "{told}");
    std::fs::write(&file, "{\"item\":\"t1_1\",\"spam\":1}\n").expect("written");
    let refused = modloop(&database, &["labels", "import", path]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no label spam; it has hate"), "{refused:?}");
    let count: i64 =
        database.client().await.query_one("select count(*) from labels", &[]).await.expect("counts").get(0);
    assert_eq!(count, 1);
}
