//! One thing each.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chrono::{DateTime, Days, TimeDelta, Utc};
use modloop_cloud::CloudError;
use modloop_domain::{Actor, DriftRequest};
use modloop_monitor::{Event, RetrainRequests, grid, handle, length_bounds};
use modloop_store::drift::Closing;
use modloop_store::{Database, DatabaseSettings, Store};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use crate::Options;
use crate::report::Report;

/// Version and memory of the server.
pub(crate) async fn server(client: &Client) -> Result<String> {
    let sql = "select 'Postgres ' || current_setting('server_version') || ', shared_buffers '
        || current_setting('shared_buffers') || ', work_mem ' || current_setting('work_mem')";
    Ok(client.query_one_scalar(sql, &[]).await?)
}

/// Bytes with indexes, by table.
pub(crate) async fn sizes(client: &Client, report: &mut Report) -> Result<()> {
    let sql = "select sum(pg_total_relation_size(relid))::bigint from pg_partition_tree($1::text::regclass)";
    let mut whole = 0;
    for (table, rows, of) in [
        ("items", report.items, "item"),
        ("item_texts", report.predictions, "text"),
        ("checks", report.predictions, "item that is checked"),
        ("predictions", report.predictions, "prediction"),
        ("decisions", report.predictions, "decision"),
    ] {
        let bytes: i64 = match table {
            "items" | "checks" => {
                client
                    .query_one_scalar("select pg_total_relation_size($1::text::regclass)", &[&table])
                    .await?
            }
            _ => client.query_one_scalar(sql, &[&table]).await?,
        };
        whole += bytes;
        report.fact(format!("{table}, for each {of}"), bytes as f64 / rows.max(1) as f64, "B");
    }
    report.fact("all of these, for each item", whole as f64 / report.items.max(1) as f64, "B");
    Ok(())
}

/// Closes every bucket, as the monitor does after it was away.
pub(crate) async fn backlog(store: &Store, report: &mut Report) -> Result<()> {
    let bounds = length_bounds();
    let until = Utc::now() - TimeDelta::minutes(2);
    let (begun, mut hours) = (Instant::now(), 0_u32);
    while let Closing::Closed(_) = store.close_next_bucket(until, TimeDelta::hours(1), grid(&bounds)).await? {
        hours += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    report.goal("closing the backlog of all predictions", seconds, 60.0, "s");
    report.fact("one hour of all communities", seconds * 1000.0 / f64::from(hours.max(1)), "ms");
    Ok(())
}

struct NoQueue;

impl RetrainRequests for NoQueue {
    async fn send(&self, _request: &DriftRequest) -> Result<(), CloudError> {
        Ok(())
    }
}

/// Two windows: the first one makes the references of all communities, the second one has them.
pub(crate) async fn monitor(
    store: &Store,
    settings: &DatabaseSettings,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    // Nothing expires while this is measured.
    let retention = serde_json::json!({"text_days": 3650, "kept_days": 3650});
    store.change_settings(&Actor::local("bench"), "retention", &retention).await?;
    let today = Utc::now().date_naive();
    let yesterday = today - Days::new(1);
    let midnight = |day: chrono::NaiveDate| {
        day.and_hms_opt(0, 0, 0).map(|moment| moment.and_utc()).context("a midnight")
    };
    forget_peak();
    let (first, reports) = run_monitor(settings, midnight(yesterday)?).await?;
    report.goal("monitor, all communities, references are made", first.as_secs_f64(), 10.0, "s");
    forget_peak();
    let (second, _) = run_monitor(settings, midnight(today)?).await?;
    report.goal("monitor over closed buckets, all communities", second.as_secs_f64(), 5.0, "s");
    report.goal("memory of the monitor, with that of this program", peak_memory()?, 200.0, "MB");
    let (again, _) = run_monitor(settings, midnight(today)?).await?;
    report.fact("monitor, the window is reported already", again.as_secs_f64() * 1000.0, "ms");
    report.fact(format!("reports for {} communities", options.communities), reports as f64, "");
    Ok(())
}

async fn run_monitor(settings: &DatabaseSettings, end: DateTime<Utc>) -> Result<(Duration, usize)> {
    let context = modloop_monitor::Context { database: Database::new(settings.clone()), requests: NoQueue };
    let event = Event { window_end: Some(end), window_hours: None };
    let begun = Instant::now();
    let summary = handle(&context, event, Utc::now()).await?;
    Ok((begun.elapsed(), summary.reports.len()))
}

/// Starts the measurement of the peak anew. Without the right to, the peak since the start is measured.
fn forget_peak() {
    let _not_allowed = std::fs::write("/proc/self/clear_refs", "5");
}

/// In MB.
fn peak_memory() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kibibytes: f64 = peak.trim().trim_end_matches("kB").trim().parse().context("VmHWM is no number")?;
    Ok(kibibytes * 1024.0 / 1e6)
}

/// The slowest of five.
pub(crate) async fn status(store: &Store, report: &mut Report) -> Result<()> {
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let begun = Instant::now();
        store.status().await?;
        slowest = slowest.max(begun.elapsed());
    }
    report.goal("status, the slowest of 5", slowest.as_secs_f64(), 1.0, "s");
    Ok(())
}

const PAGE: &str = "
    select q.item_id, q.community_id, q.priority, q.outcome, q.labels, q.created_at, t.title, t.body, t.author,
        t.permalink
    from queue q join item_texts t on t.part = q.part and t.item_id = q.item_id
    where q.community_id = $1
    order by q.priority desc, q.item_id limit 50";

const PAGE_OF_ALL: &str = "
    select q.item_id, q.community_id, q.priority, q.outcome, q.labels, q.created_at, t.title, t.body, t.author,
        t.permalink
    from queue q join item_texts t on t.part = q.part and t.item_id = q.item_id
    where (q.priority, q.item_id) < ($1, 't') order by q.priority desc, q.item_id limit 50";

const HEAD: &str = "
    select i.*, t.* from items i left join item_texts t on t.part = i.part and t.item_id = i.id where i.id = $1";
const PREDICTIONS: &str = "
    select p.* from items i join predictions p on p.part = i.part and p.item_id = i.id where i.id = $1";
const DECISIONS: &str = "
    select d.* from items i join decisions d on d.part = i.part and d.item_id = i.id where i.id = $1";
const LABELS: &str = "select * from labels where item_id = $1 order by id";

/// Pages of the queue of several communities and of all of them, and single items of every age: the slowest.
pub(crate) async fn pages(client: &Client, report: &mut Report) -> Result<()> {
    use tokio_postgres::types::Type;
    let mut slowest = Duration::ZERO;
    for n in 0..20_i32 {
        let begun = Instant::now();
        client.query_typed(PAGE, &[(&(1 + n * 37), Type::INT4)]).await?;
        slowest = slowest.max(begun.elapsed());
        let below = 1.0 - n as f32 / 40.0;
        let begun = Instant::now();
        client.query_typed(PAGE_OF_ALL, &[(&below, Type::FLOAT4)]).await?;
        slowest = slowest.max(begun.elapsed());
    }
    report.goal("a page of the queue, the slowest of 40", slowest.as_secs_f64() * 1000.0, 50.0, "ms");

    let mut slowest = Duration::ZERO;
    for n in 0..50 {
        let id = crate::fill::id(report.items / 50 * n);
        let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&id, Type::TEXT)];
        let begun = Instant::now();
        futures::try_join!(
            client.query_typed(HEAD, &parameters),
            client.query_typed(PREDICTIONS, &parameters),
            client.query_typed(DECISIONS, &parameters),
            client.query_typed(LABELS, &parameters),
        )?;
        slowest = slowest.max(begun.elapsed());
    }
    report.goal(
        "one item with all that is known, the slowest of 50",
        slowest.as_secs_f64() * 1000.0,
        50.0,
        "ms",
    );
    Ok(())
}
