//! Rows as months of use would leave them.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use modloop_bundle::{Baseline, Chunk, GRID};
use modloop_domain::{Decision, Label, Probability};
use tokio_postgres::Client;

use crate::Options;

/// Rows of one statement.
const CHUNK: u64 = 250_000;

/// Open items in the queue.
const QUEUE: i64 = 10_000;

/// Weeks from the first item's on. Later ones are there already.
const PARTITIONS: &str = "
    do $$ declare week date; parent text; begin
        for week in select generate_series(item_week($1), item_week(now()) - 14, interval '7 days')::date loop
            foreach parent in array array['item_texts', 'predictions', 'decisions'] loop
                execute format('create table if not exists %I partition of %I for values in (%L)',
                    parent || '_' || to_char(week, 'YYYY_MM_DD'), parent, week);
            end loop;
        end loop;
    end $$";

/// One chunk of everything that belongs to an item. $1 and $2 are the first number and the one after the last,
/// $3 the start of time, $4 the seconds between two items, $5 communities, $6 items, $7 predictions.
///
/// Numbers are spread evenly by multiples of irrational ones, so that every run and every community is alike.
/// About 6 of 100 items are flagged.
const ITEMS: &str = "
    with numbers as (
        select n, 1 + (n % $5)::integer as community_id, seen, item_week(seen) as part,
            case n % 7 when 0 then 't3_' else 't1_' end || lpad(to_hex(n), 8, '0') as id,
            (n + 1) * $7 / $6 > n * $7 / $6 as is_scored, decode(md5(n::text), 'hex') as hash,
            20 + (n * 7919 % 320)::integer as length,
            array[greatest(power(a - floor(a), 24), 1e-6), greatest(power(b - floor(b), 20), 1e-6)]::real[] as scores
        from generate_series($1::bigint, $2::bigint - 1) as n
            cross join lateral (
                select $3::timestamptz + n * $4::float8 * interval '1 second' as seen,
                    n * 0.6180339887498949::float8 as a, n * 0.7548776662466927::float8 as b) s),
    heads as (
        insert into items (id, part, community_id, kind, created_at, observed_at, first_seen_at, state, content_hash)
        select id, part, community_id, case n % 7 when 0 then 'post' else 'comment' end, seen, seen, seen,
            case when is_scored then 'present' else 'deleted' end, case when is_scored then hash end
        from numbers),
    texts as (
        insert into item_texts (part, item_id, author, title, body, parent, thread, permalink, link, domain)
        select part, id, 'author_' || n % 99991,
            case n % 7 when 0 then left(repeat(md5(n::text), 2), 60) end,
            left(repeat(md5(n::text), 11), length),
            case when n % 7 > 0 then 't1_' || lpad(to_hex(n / 2), 8, '0') end,
            case when n % 7 > 0 then 't3_' || lpad(to_hex(n / 7 * 7), 8, '0') end,
            '/r/community_' || community_id || '/comments/' || to_hex(n / 7) || '/the_title_of_a_post/' || to_hex(n),
            case n % 21 when 0 then 'https://www.example.com/articles/' || md5(n::text) end,
            case n % 21 when 0 then 'www.example.com' end
        from numbers where is_scored),
    due as (
        insert into checks (item_id, due_at)
        select id, now() + n % 30 * interval '1 day' from numbers where is_scored),
    scored as (
        insert into predictions (part, scored_at, community_id, tokens, unknown_tokens, model_id, windows, live,
            decides, read_whole, item_id, content_hash, scores)
        select part, seen + interval '20 seconds', community_id, 2 + length / 5, length % 3, 1, 1, true, true, true,
            id, hash, scores
        from numbers where is_scored)
    insert into decisions (part, at, community_id, policy_id, model_id, live, outcome, decided_by, item_id,
        content_hash, scores, label)
    select part, seen + interval '20 seconds', community_id, 1, 1, true,
        case when greatest(scores[1], scores[2]) >= 0.95 then 'remove'
            when greatest(scores[1], scores[2]) >= 0.5 then 'review' else 'allow' end,
        'threshold', id, hash, scores, case when scores[1] >= scores[2] then 'hate' else 'offensive' end
    from numbers where is_scored";

/// What lies on top: open items, labels of people, counts. The newest items wait for their scores.
const ON_TOP: [&str; 4] = [
    "insert into queue (item_id, part, community_id, priority, outcome, labels, model_id, author, created_at)
     select d.item_id, d.part, d.community_id, greatest(d.scores[1], d.scores[2]), d.outcome, array[d.label], 1,
         t.author, i.created_at
     from (select * from decisions where outcome <> 'allow' order by at desc limit $1::bigint) d
         join items i on i.id = d.item_id
         join item_texts t on t.part = d.part and t.item_id = d.item_id",
    "insert into labels (item_id, content_hash, label, value, kind, actor, at)
     select item_id, content_hash, label, item_id like '%7', 'person', 'local:alice', at + interval '1 hour'
     from (select * from decisions where outcome <> 'allow' order by at desc limit $1::bigint) d",
    "insert into community_totals (community_id, stored, scored, flagged, scrubbed)
     select i.community_id, count(*), count(i.content_hash), 0, count(*) - count(i.content_hash)
     from items i where $1::bigint > 0 group by 1",
    "insert into count_deltas (community_id, stored, scored)
     select 1 + n % (select count(*) from communities)::integer, 1, 1 from generate_series(1, $1::bigint) n",
];

/// The id of the item of that number.
pub(crate) fn id(n: u64) -> String {
    format!("t{}_{n:08x}", if n.is_multiple_of(7) { 3 } else { 1 })
}

/// Fills an empty database.
pub(crate) async fn fill(client: &Client, options: &Options) -> Result<()> {
    let used: bool = client.query_one_scalar("select exists (select from items)", &[]).await?;
    ensure!(!used, "the database has items already; name an empty one");
    ensure!(options.predictions <= options.items, "there can be no more predictions than items");
    let begun = Instant::now();
    client
        .batch_execute("set session_replication_role = replica; set synchronous_commit = off")
        .await
        .context("only a superuser can load rows without checks")?;
    communities_and_model(client, options).await?;
    let (items, predictions) = (i64::try_from(options.items)?, i64::try_from(options.predictions)?);
    let start: chrono::DateTime<chrono::Utc> = client
        .query_one_scalar(
            "select date_trunc('day', now(), 'utc') - $1::integer * interval '1 day'",
            &[&i32::try_from(options.days)?],
        )
        .await?;
    client.batch_execute(&PARTITIONS.replace("$1", &format!("'{}'", start.to_rfc3339()))).await?;
    let step = f64::from(options.days) * 86_400.0 / options.items as f64;
    let communities = i64::from(options.communities);
    let insert = client.prepare(ITEMS).await?;
    for from in (0..options.items).step_by(usize::try_from(CHUNK)?) {
        let (from, to) = (i64::try_from(from)?, i64::try_from((from + CHUNK).min(options.items))?);
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&from, &to, &start, &step, &communities, &items, &predictions];
        client.execute(&insert, &parameters).await.context("cannot insert items")?;
        eprintln!("  {to} of {items} items, {:.0} s", begun.elapsed().as_secs_f64());
    }
    for statement in ON_TOP {
        client.execute(statement, &[&QUEUE]).await.context("cannot insert what lies on top")?;
    }
    client.batch_execute("set session_replication_role = origin").await?;
    client.batch_execute("vacuum analyze").await?;
    client.batch_execute("checkpoint").await?;
    eprintln!("  filled in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

async fn communities_and_model(client: &Client, options: &Options) -> Result<()> {
    let communities = i32::try_from(options.communities)?;
    let insert =
        "insert into communities (name) select 'community_' || n from generate_series(1, $1::integer) n";
    client.execute(insert, &[&communities]).await?;
    let model = "insert into models (version, labels, baseline) values ('v1', '{hate,offensive}', $1)";
    client.execute(model, &[&serde_json::json!(baseline()?)]).await?;
    Ok(())
}

/// A validation set whose scores are spread like those of the items.
fn baseline() -> Result<Baseline> {
    let labels: [Label; 2] = ["hate".parse()?, "offensive".parse()?];
    let chunk = |part: u32| {
        let mut chunk = Chunk::new(&labels);
        for n in (part * 1000)..((part + 1) * 1000) {
            let spread = |by: f64, power: i32| (f64::from(n) * by).fract().powi(power) as f32;
            let scores = [spread(0.618_033_988_749_894_9, 24), spread(0.754_877_666_246_692_7, 20)];
            let [hate, offensive] = [Probability::new(scores[0])?, Probability::new(scores[1])?];
            let each = [(&labels[0], hate), (&labels[1], offensive)];
            chunk.record(each, scores[0], Decision::Allow, 6 + n % 64, n % 3);
        }
        Ok(chunk)
    };
    Ok(Baseline { grid: GRID, chunks: (0..12).map(chunk).collect::<Result<_>>()? })
}
