//! Ends a week while others write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use modloop_store::Store;
use modloop_store::partitions::RetentionStep;

use crate::connect;
use crate::report::Report;

/// Heads are deleted for this long, which is enough to tell how fast that goes.
const DELETING: Duration = Duration::from_secs(20);

/// The monitor would try again with its next run.
const DROPPING: Duration = Duration::from_secs(600);

/// Days after which texts expire so that the oldest week has, and no other one.
const OLDEST: &str =
    "select ((now() at time zone 'utc')::date - min(w) - 8)::integer from partition_weeks() w";

/// Kept items do not expire here.
const KEPT_DAYS: u16 = 3660;

/// What a batch of inference and a page of fetch write, in short.
const WRITE: &str = "
    with head as (
        insert into items (id, community_id, kind, created_at, content_hash)
        values ('t1_writer' || $1::bigint, 1, 'comment', now(), decode(md5($1::bigint::text), 'hex'))
        returning id, part, content_hash),
    text as (insert into item_texts (part, item_id, body) select part, id, 'text' from head),
    prediction as (
        insert into predictions (part, item_id, content_hash, model_id, community_id, scores, live, decides,
            read_whole, tokens, unknown_tokens, windows)
        select part, id, content_hash, 1, 1, '{0.1,0.1}', true, true, true, 9, 0, 1 from head)
    insert into decisions (part, item_id, content_hash, community_id, policy_id, model_id, live, outcome, decided_by,
        scores)
    select part, id, content_hash, 1, 1, 1, true, 'allow', 'threshold', '{0.1,0.1}' from head";

/// Keeps, drops and deletes the oldest week, step by step as the monitor does.
pub(crate) async fn measure(store: &Store, url: &str, report: &mut Report) -> Result<()> {
    let (writer, other) = (connect(url).await?, connect(url).await?);
    let days: i32 = other.query_one_scalar(OLDEST, &[]).await?;
    let days = u16::try_from(days).context("the oldest week is too young to expire")?;

    let done = AtomicBool::new(false);
    let write = async {
        let (mut longest, mut number) = (Duration::ZERO, 0_i64);
        while !done.load(Ordering::Relaxed) {
            let begun = Instant::now();
            writer.execute(WRITE, &[&number]).await.context("cannot write beside the drop")?;
            longest = longest.max(begun.elapsed());
            number += 1;
        }
        anyhow::Ok(longest)
    };
    let end = async {
        let ended = end_week(store, days).await;
        done.store(true, Ordering::Relaxed);
        ended
    };
    let (longest, ended) = tokio::join!(write, end);
    let (kept, took) = ended?;
    report.goal("longest wait of a writer while a week is dropped", longest?.as_secs_f64(), 2.0, "s");
    report.fact(
        format!("keeping {kept} flagged or labeled items and dropping the week"),
        took.as_secs_f64(),
        "s",
    );

    let (begun, mut deleted) = (Instant::now(), 0);
    while begun.elapsed() < DELETING {
        match store.retention_step(days, KEPT_DAYS).await? {
            RetentionStep::Deleted { items } => deleted += items,
            _ => break,
        }
    }
    report.fact("heads deleted in a second", deleted as f64 / begun.elapsed().as_secs_f64(), "");
    Ok(())
}

/// Steps until the week is dropped. Returns how many items were kept, and how long it took.
async fn end_week(store: &Store, days: u16) -> Result<(u64, Duration)> {
    let (begun, mut kept) = (Instant::now(), 0);
    loop {
        ensure!(begun.elapsed() < DROPPING, "the week could not be dropped within {} s", DROPPING.as_secs());
        match store.retention_step(days, KEPT_DAYS).await {
            Ok(RetentionStep::Kept { items }) => kept += items,
            Ok(RetentionStep::Dropped { .. }) => return Ok((kept, begun.elapsed())),
            Ok(step) => anyhow::bail!("no week has expired: {step:?}"),
            // A vacuum is most likely at work on what was moved, and holds a lock.
            Err(error) if error.is_retryable() => tokio::time::sleep(Duration::from_secs(1)).await,
            Err(error) => return Err(error.into()),
        }
    }
}
