//! `modloop retrain`: asks for a training run.

use anyhow::{Context, Result};
use clap::Args;
use modloop_cloud::{RetrainQueue, sdk_config};
use modloop_store::{RequestedBy, RunRequest};
use serde_json::json;

use crate::database::{DatabaseArgs, operator};

/// Asks for a training run: sample, label, train, compare, try, switch.
#[derive(Debug, Args)]
pub struct RetrainArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Why, for the story of the run.
    #[arg(long, default_value = "by hand")]
    reason: String,
    /// Queue of the retrain function, so that it looks at once and not with its next schedule.
    #[arg(long, env = "RETRAIN_QUEUE_URL")]
    queue_url: Option<String>,
}

/// Stores the request; the function takes it up.
pub async fn run(args: RetrainArgs) -> Result<()> {
    let store = args.database.connect().await?;
    let reason = format!("{}: {}", operator()?, args.reason);
    let request = RunRequest { by: RequestedBy::Operator, reason, episode: None, model: None };
    let (run, _new) = store.request_run(&request).await?;
    if let Some(url) = &args.queue_url {
        let queue = RetrainQueue::new(&sdk_config().await, url);
        let woken = queue.send(&json!({"action": "tick"})).await;
        woken
            .context("the run is stored, but the function was not woken; it starts with its next schedule")?;
    }
    args.database.print(&json!({"run": run}), || {
        format!("run {run} is asked for; `modloop runs show {run}` tells how far it is")
    })
}
