use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use modloop_bundle::{Baseline, Chunk, GRID};
use modloop_cloud::CloudError;
use modloop_domain::{Actor, Decision, DriftRequest, ItemText, Label, Probability};
use modloop_drift::Policy;
use modloop_monitor::{Context, Event, MonitorError, RetrainRequests, Summary, handle};
use modloop_store::Database;
use modloop_store::models::NewModel;
use modloop_store::testing::TestDatabase;
use serde_json::json;

/// A database with a model `v1`, and a monitor that looks at it.
pub(crate) struct Community {
    pub(crate) database: TestDatabase,
    pub(crate) requests: Queue,
}

/// A queue that remembers what it was sent, and fails when told to.
#[derive(Default)]
pub(crate) struct Queue {
    sent: Mutex<Vec<DriftRequest>>,
    fails: AtomicBool,
}

impl Queue {
    pub(crate) fn sent(&self) -> Vec<DriftRequest> {
        self.sent.lock().expect("no test panicked with it").clone()
    }

    pub(crate) fn fail_next(&self) {
        self.fails.store(true, Ordering::SeqCst);
    }
}

impl RetrainRequests for &Queue {
    async fn send(&self, request: &DriftRequest) -> Result<(), CloudError> {
        if self.fails.swap(false, Ordering::SeqCst) {
            return Err(CloudError::Unavailable { what: "the queue".into(), reason: "it is down".into() });
        }
        self.sent.lock().expect("no test panicked with it").push(request.clone());
        Ok(())
    }
}

/// Start of a day in November.
pub(crate) fn day(day: i64) -> DateTime<Utc> {
    "2026-11-01T00:00:00Z".parse::<DateTime<Utc>>().expect("a time") + TimeDelta::days(day - 1)
}

pub(crate) fn policy() -> Policy {
    Policy { minimum_items: 200, breaches: 2, cooldown: TimeDelta::hours(24) }
}

fn label() -> Label {
    "hate".parse().expect("a label")
}

/// Scores like u^4 for evenly spaced u, in 12 parts that differ as chance has it.
fn baseline() -> Baseline {
    let chunk = |part: u32| {
        let mut chunk = Chunk::new(&[label()]);
        for i in 0..300 {
            let u = (f64::from(i) * 0.618_033_988_749_895 + f64::from(part) * 0.37).fract();
            let score = u.powi(4) as f32;
            let p = Probability::new(score).expect("a probability");
            let unknown = u32::from(i % 50 == 0);
            chunk.record([(&label(), p)], entropy(score), Decision::Allow, 5 + i % 60, unknown);
        }
        chunk
    };
    Baseline { grid: GRID, chunks: (0..12).map(chunk).collect() }
}

/// In bits.
fn entropy(p: f32) -> f32 {
    if p <= 0.0 || p >= 1.0 { 0.0 } else { -(p * p.log2() + (1.0 - p) * (1.0 - p).log2()) }
}

impl Community {
    pub(crate) async fn new(policy: Policy) -> Self {
        let database = TestDatabase::create().await;
        let model = NewModel {
            version: "v1".parse().expect("a version"),
            labels: vec![label()],
            baseline: json!(baseline()),
            metrics: json!({}),
            bundle_uri: None,
        };
        database.store().await.register_model(&model).await.expect("registered");
        let monitor = json!({
            "min_items": policy.minimum_items, "breaches": policy.breaches,
            "cooldown_hours": policy.cooldown.num_hours(),
        });
        let changed =
            database.store().await.change_settings(&Actor::local("test"), "monitor", &monitor).await;
        changed.expect("changed");
        Self { database, requests: Queue::default() }
    }

    /// `n` predictions of `v1` spread over an hour from `start` on, scores like u^power. One item with many
    /// texts serves them all.
    pub(crate) async fn predict(&self, community: &str, start: DateTime<Utc>, n: i64, power: f64) {
        let item = format!("t1_{community}");
        self.database.insert_item(community, &item, &ItemText::new(None, "text")).await;
        let predicted = self
            .database
            .client()
            .await
            .execute(
                "insert into predictions (part, item_id, content_hash, model_id, community_id, scores, live,
                     decides, tokens, unknown_tokens, windows, read_whole, scored_at)
                 select i.part, i.id, substr(sha256((i.id || $2::timestamptz::text || n)::bytea), 1, 16), m.id,
                     i.community_id, array[p], true, true, 5 + n % 60,
                     case when n % 50 = 0 then 1 else 0 end, 1, true, $2::timestamptz + n * interval '1 second'
                 from items i cross join models m cross join generate_series(0, $3::bigint - 1) n
                     cross join lateral (
                     select (power((n * 0.618033988749895::float8 + 0.123) - floor(n * 0.618033988749895::float8
                         + 0.123), $4::float8))::real as p) s
                 where i.id = $1 and m.version = 'v1'",
                &[&item, &start, &n, &power],
            )
            .await;
        predicted.expect("predictions");
    }

    /// Looks at the window of one day, long after it.
    pub(crate) async fn monitor(&self, of: i64) -> Result<Summary, MonitorError> {
        let database = Database::new(self.database.settings().clone());
        let context = Context { database, requests: &self.requests };
        let event = Event { window_end: Some(day(of + 1)), window_hours: None };
        handle(&context, event, day(28)).await
    }

    pub(crate) async fn sql(&self, statements: &str) {
        self.database.client().await.batch_execute(statements).await.expect(statements);
    }

    /// Community and verdict of every report, in the order they were written.
    pub(crate) async fn reports(&self) -> Vec<(String, String)> {
        let rows = self
            .database
            .client()
            .await
            .query(
                "select s.name, r.verdict from drift_reports r join communities s on s.id = r.community_id
                 order by r.id",
                &[],
            )
            .await;
        rows.expect("reports").iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    pub(crate) async fn open_episodes(&self) -> i64 {
        let open = "select count(*) from drift_episodes where closed_at is null";
        self.database.client().await.query_one(open, &[]).await.expect("counts").get(0)
    }
}
