//! `up --once --faults`: what goes wrong on purpose while items are fetched and scored.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use modloop_domain::ScoreMessage;
use modloop_local::deploy::Function;
use modloop_local::functions::kill_processes_of;
use modloop_local::logs::function_log;

use crate::once::{stand_in, totals};
use crate::stack::Stack;

/// A body that no version of the inference function can read.
const POISON: &str = "poison: this is not a message";
/// What inference says of it.
const POISON_REASON: &str = "the message is not of the form";
/// How many items are put into the queue once more than needed.
const DOUBLED: usize = 40;
/// How long to wait for something that must come.
const PATIENCE: Duration = Duration::from_secs(240);
const POLL: Duration = Duration::from_millis(20);

/// Sends the poison, kills inference mid-batch, delivers messages twice, restarts Postgres, and kills again.
pub(crate) async fn break_things(stack: &Stack) -> Result<()> {
    stack.score_queue().await?.send(POISON).await?;
    kill_mid_batch(stack).await?;
    deliver_twice(stack).await?;
    stack.database.restart().await?;
    kill_mid_batch(stack).await
}

async fn deliver_twice(stack: &Stack) -> Result<()> {
    let queue = stack.score_queue().await?;
    for item in stand_in(stack)?.expected_items().into_iter().take(DOUBLED) {
        let message = ScoreMessage { item: item.fullname.id() }.to_json();
        queue.send(&message).await?;
        queue.send(&message).await?;
    }
    Ok(())
}

/// Waits until inference holds a batch and has scored something, and kills its process then.
async fn kill_mid_batch(stack: &Stack) -> Result<()> {
    let queue = stack.score_queue().await?;
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if totals(stack).await?.scored > 0 && queue.depth().await?.in_flight > 1 {
            let killed = kill_processes_of(Function::Inference.name(), stack.cloud.process_group())?;
            if killed > 0 {
                return Ok(());
            }
        }
        tokio::time::sleep(POLL).await;
    }
    bail!("inference held no batch that could be cut off within {} s", PATIENCE.as_secs());
}

/// Waits until the poison is in the dead-letter queue, and checks that its reason is in the log.
pub(crate) async fn poison_is_dead_lettered(stack: &Stack) -> Result<()> {
    let dead_letters = stack.dead_letters().await?;
    let begun = Instant::now();
    while !dead_letters.peek().await?.iter().any(|message| message.body == POISON) {
        if begun.elapsed() > PATIENCE {
            bail!("the poison did not reach the dead-letter queue within {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let log = function_log(stack.cloud.endpoint(), Function::Inference.name(), 0).await?;
    if !log.iter().any(|line| line.message.contains(POISON_REASON)) {
        bail!("the log of inference does not say why the poison failed");
    }
    Ok(())
}
