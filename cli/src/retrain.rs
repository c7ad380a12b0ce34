//! `modloop retrain`: asks for a training run.

use anyhow::{Context, Result};
use clap::Args;
use modloop_cloud::{RetrainQueue, sdk_config};
use modloop_domain::RetrainMessage;
use modloop_operator::Operator;
use serde_json::json;

use crate::database::{DatabaseArgs, actor};

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
  Requested run 7. Track it with `modloop runs show 7`.

The request waits in the database until the runs before it are over. The model in service changes only when a
challenger has proved better; nothing is trained unless somebody has stated
that texts may be trained on (`modloop permission`).";

/// Stores the request; the function takes it up.
pub async fn run(args: RetrainArgs) -> Result<()> {
    let store = args.database.connect().await?;
    let run = Operator::new(&store, actor()?).request_run(&args.reason).await?;
    if let Some(url) = &args.queue_url {
        let queue = RetrainQueue::new(&sdk_config().await, url);
        let woken = queue.send(&RetrainMessage::Tick).await;
        woken
            .context("the run is stored, but the function was not woken; it starts with its next schedule")?;
    }
    args.database.print(&json!({"run": run}), || {
        format!("Requested run {run}. Track it with `modloop runs show {run}`.")
    })
}
