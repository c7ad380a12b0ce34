//! The queries that run with every batch must go through an index: on a table that grows for years a
//! scan is an outage that comes slowly.

use tokio_postgres::types::{Json, ToSql};

use crate::testing::TestDatabase;
use crate::{fetching, monitoring, scoring, status};

/// Enough rows that a scan would look cheap to nobody, in proportions as in life: most items scored.
const POPULATE: &str = "
    insert into subreddits (name) select 'sub' || n from generate_series(1, 5) n;
    insert into models (version, labels, baseline) values ('v1', '{hate}', '{}');
    insert into items (fullname, subreddit_id, title, body, content_hash, permalink, created_at, pending_since)
        select 't3_' || n, 1 + n % 5, repeat('word ', 20), repeat('word ', 100), sha256(n::text::bytea), '/',
            now() - n * interval '1 second', case when n % 500 = 0 then now() end
        from generate_series(1, 10000) n;
    insert into predictions (fullname, content_hash, model_version, subreddit_id, scores, top_score, entropy,
            decision, decides, tokens, unknown_tokens, windows)
        select fullname, content_hash, 'v1', subreddit_id, '{0.1}', 0.1, 0.5,
            case when right(fullname, 2) = '07' then 'review' else 'allow' end, true, 9, 0, 1
        from items where pending_since is null;
    vacuum analyze items; vacuum analyze predictions; vacuum analyze subreddits;";

async fn plan(database: &TestDatabase, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> String {
    let client = database.client().await;
    let lines = client.query(&format!("explain {sql}"), parameters).await.expect("an explainable query");
    lines.iter().map(|line| line.get::<_, String>(0)).collect::<Vec<_>>().join("\n")
}

async fn populated() -> TestDatabase {
    let database = TestDatabase::create().await;
    let client = database.client().await;
    for statement in POPULATE.split(';').filter(|s| !s.trim().is_empty()) {
        client.batch_execute(statement).await.expect(statement);
    }
    database
}

#[tokio::test]
async fn nothing_that_runs_with_a_batch_scans_a_big_table() {
    let database = populated().await;
    let names = vec!["t3_1", "t3_2", "t3_500"];
    let predictions = Json(serde_json::json!([]));
    let plans = [
        plan(&database, scoring::TO_SCORE, &[&names]).await,
        plan(&database, scoring::RECORD, &[&predictions]).await,
        plan(&database, scoring::OLDEST_UNSCORED, &[]).await,
        plan(&database, status::SUBREDDITS, &[]).await,
        plan(&database, fetching::STORE, &[&predictions]).await,
        plan(&database, fetching::DUE_AGAIN, &[&100_i64, &900.0, &fetching::STUCK_AFTER]).await,
        plan(&database, fetching::DUE_FOR_CHECK, &[&100_i64, &chrono::Utc::now()]).await,
    ];
    for plan in plans {
        assert!(!plan.contains("Seq Scan on items"), "{plan}");
        assert!(!plan.contains("Seq Scan on predictions"), "{plan}");
    }
}

#[tokio::test]
async fn the_monitor_reads_no_more_than_its_window() {
    let database = populated().await;
    let (start, end) = (chrono::Utc::now() - chrono::TimeDelta::days(30), chrono::Utc::now());
    let past = start + chrono::TimeDelta::days(1);
    let (in_window, first) =
        (monitoring::histograms(monitoring::IN_WINDOW), monitoring::histograms(monitoring::FIRST_BEFORE));
    let plans = [
        plan(&database, monitoring::TARGETS, &[&start, &past]).await,
        plan(&database, &in_window, &[&1, &"v1", &200.0, &start, &past]).await,
        plan(&database, &first, &[&1, &"v1", &200.0, &end, &50_i64, &10_i64]).await,
        plan(&database, monitoring::OUTCOMES, &[&1, &"v1", &0.5_f32, &start, &past]).await,
    ];
    for plan in plans {
        assert!(!plan.contains("Seq Scan on predictions"), "{plan}");
    }
}
