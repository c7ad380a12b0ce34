//! `modloop retrain`: asks for a training run.

use anyhow::{Context, Result};
use clap::Args;
use modloop_cloud::{RetrainQueue, sdk_config};
use modloop_store::{RequestedBy, RunRequest};
use serde_json::json;

use crate::database::{DatabaseArgs, operator};

/// Ask for a training run: sample, label, train, compare, try, switch.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct RetrainArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Why; `modloop runs` shows it with your user name.
    #[arg(long, default_value = "by hand")]
    reason: String,
    /// Retrain queue of the stack (output RetrainQueueUrl): wakes the function now instead of by its clock.
    #[arg(long, value_name = "URL", env = "RETRAIN_QUEUE_URL")]
    queue_url: Option<String>,
}

const AFTER_HELP: &str = "\
Example:
  $ modloop retrain --reason \"new slang in r/city_talk\"
  run 7 is asked for; `modloop runs show 7` tells how far it is

The request waits in the database until the runs before it are over. The model in service changes only when a
challenger has proved better; nothing is trained unless the stack's TrainingPermission is on.";

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
