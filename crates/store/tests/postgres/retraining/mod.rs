//! What retraining remembers.

mod budget;
mod labels;
mod runs;
mod switches;

use modloop_domain::{RequestedBy, RunState};
use modloop_store::Store;
use modloop_store::runs::{Change, RunRequest, RunUpdate};
use modloop_store::testing::TestDatabase;
use serde_json::json;

use crate::models::model;

pub(crate) fn asked() -> RunRequest {
    RunRequest { by: RequestedBy::Operator, reason: "a test".into(), episode: None, model: None }
}

/// A database with a model and a run.
pub(crate) async fn with_run() -> (TestDatabase, Store, i64) {
    let database = TestDatabase::create().await;
    let store = database.store().await;
    store.register_model(&model("v1")).await.expect("registered");
    let (run, is_new) = store.request_run(&asked()).await.expect("stored");
    assert!(is_new);
    (database, store, run)
}

/// Moves a run along, whatever it would have to do for that.
pub(crate) async fn bring_to(store: &Store, run: i64, to: RunState) {
    let from = store.run(run).await.expect("reads").expect("a run").state;
    let progress = RunUpdate { reason: Some("a test".into()), ..RunUpdate::default() };
    store
        .move_run(run, (from, to), Change { update: &progress, what: "moved", facts: &json!({}) })
        .await
        .expect("moves")
        .expect("was there");
}
