//! The statements that run with every batch, pass or page must go through an index: on a table that grows for
//! years a scan is an outage that comes slowly.

use crate::testing::TestDatabase;
use crate::{decisions, drift, items, predictions, queue, status};

/// Enough rows that a scan of a whole table looks expensive to Postgres, in proportions as in life: most items
/// are scored, few are flagged, few are labeled.
const POPULATE: &str = "
    insert into communities (name) select 'sub' || n from generate_series(1, 5) n;
    insert into models (version, labels, baseline) values ('v1', '{hate}', '{}');
    insert into items (id, community_id, kind, content_hash, created_at, pending_since)
        select 't3_' || n, 1 + n % 5, 'post', decode(md5(n::text), 'hex'),
            now() - n * interval '1 second', case when n % 500 = 0 then now() end
        from generate_series(1, 20000) n;
    insert into item_texts (part, item_id, author, title, body)
        select part, id, 'author' || id, repeat('word ', 20), repeat('word ', 100) from items;
    insert into checks (item_id, due_at) select id, created_at + interval '1 hour' from items;
    insert into predictions (part, item_id, content_hash, model_id, community_id, scores, live, decides, tokens,
            unknown_tokens, windows, read_whole, scored_at)
        select part, id, content_hash, 1, community_id, '{0.1}', true, true, 9, 0, 1, true, created_at
        from items where pending_since is null;
    insert into decisions (part, item_id, content_hash, community_id, policy_id, model_id, live, outcome,
            decided_by, scores, at)
        select part, item_id, content_hash, community_id, 1, model_id, true,
            case when right(item_id, 2) = '07' then 'review' else 'allow' end, 'threshold', scores, scored_at
        from predictions;
    insert into queue (item_id, part, community_id, priority, outcome, labels, model_id, created_at)
        select item_id, part, community_id, 0.6, 'review', '{hate}', model_id, now()
        from decisions where outcome = 'review';
    insert into labels (item_id, content_hash, label, value, kind, actor)
        select id, content_hash, 'hate', true, 'person', 'local:somebody' from items where id like 't3_1111%';
    vacuum analyze";

const BIG: [&str; 4] = ["items", "item_texts", "predictions", "decisions"];

/// The plan for values that are not known yet, which is the one a prepared statement settles on.
async fn plan(database: &TestDatabase, sql: &str) -> String {
    let client = database.client().await;
    let messages = client.simple_query(&format!("explain (generic_plan) {sql}")).await;
    let messages = messages.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    let line = |message: &tokio_postgres::SimpleQueryMessage| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    messages.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

async fn populated() -> TestDatabase {
    let database = TestDatabase::create().await;
    let client = database.client().await;
    for statement in POPULATE.split(";\n") {
        client.batch_execute(statement).await.unwrap_or_else(|e| panic!("{statement}: {e:?}"));
    }
    database
}

/// Scans of a big table or of one of its partitions that hold rows.
fn scans(plan: &str) -> Vec<&str> {
    let full = |line: &&str| {
        let Some(rest) = line.split("Seq Scan on ").nth(1) else { return false };
        let table = rest.split(' ').next().unwrap_or_default();
        let of_big = BIG.iter().any(|big| table == *big || table.starts_with(&format!("{big}_")));
        // Empty partitions cost nothing to scan.
        of_big && !rest.contains("rows=1 ")
    };
    plan.lines().filter(full).collect()
}

#[tokio::test]
async fn nothing_that_runs_with_a_batch_or_a_page_scans_a_big_table() {
    let database = populated().await;
    for (name, sql) in [
        ("reading texts to score", predictions::TO_SCORE),
        ("recording scores", predictions::RECORD),
        ("looking for the oldest unscored item", queue::OLDEST_UNSCORED),
        ("looking for items to queue again", queue::DUE_AGAIN),
        ("listing flagged items", queue::FLAGGED),
        ("storing items", items::STORE),
        ("scrubbing items", items::SCRUB),
        ("looking for items to check", items::DUE_FOR_CHECK),
        ("telling the decisions of an item", decisions::OF_ITEM),
        ("reading the status", status::COMMUNITIES),
    ] {
        let plan = plan(&database, sql).await;
        assert!(scans(&plan).is_empty(), "{name}: {:#?}\n{plan}", scans(&plan));
    }
}

#[tokio::test]
async fn the_monitor_reads_no_more_than_its_window() {
    let database = populated().await;
    // Without parameters for what the statement around it uses as $1 and $2.
    let in_window = drift::IN_WINDOW.replace("$3", "$1").replace("$4", "$2");
    for (name, sql) in [
        ("counting predictions", &*in_window),
        ("outcomes", drift::OUTCOMES),
        ("the next bucket", drift::NEXT),
    ] {
        let plan = plan(&database, sql).await;
        let scans: Vec<&str> = scans(&plan).into_iter().filter(|line| line.contains("predictions")).collect();
        assert!(scans.is_empty(), "{name}: {scans:#?}\n{plan}");
    }
}

#[tokio::test]
async fn a_scan_of_a_big_table_would_be_seen() {
    let database = populated().await;
    for sql in ["select from items where state_at > $1", "select from predictions where tokens > $1"] {
        let plan = plan(&database, sql).await;
        assert!(!scans(&plan).is_empty(), "{plan}");
    }
}
