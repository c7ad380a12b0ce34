use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsEvent;
use modloop_classifier::{ScoreError, TextScores};
use modloop_domain::{ItemText, Label, ModelVersion, Probability};
use modloop_inference::{Context, LoadModel, ModelError, Models, Report, Scorer, Source, handle};
use modloop_store::Database;
use modloop_store::testing::TestDatabase;
use serde_json::json;

/// Texts that hold this word fail, as a text that the tokenizer gives up on would.
pub(crate) const UNSCORABLE: &str = "unscorable";
/// Texts that hold this word score 0.99, all others 0.1.
pub(crate) const BAD: &str = "bad";

/// A model that judges by single words and remembers what it was given.
pub(crate) struct FakeScorer {
    version: ModelVersion,
    labels: Vec<Label>,
    pub(crate) seen: Mutex<Vec<String>>,
    /// Runs before the first text is scored: what happens elsewhere meanwhile.
    meanwhile: Box<dyn Fn() + Send + Sync>,
}

impl FakeScorer {
    pub(crate) fn new(version: &str) -> Self {
        Self::with(version, || ())
    }

    pub(crate) fn with(version: &str, meanwhile: impl Fn() + Send + Sync + 'static) -> Self {
        let version = version.parse().expect("a version");
        let labels = vec!["hate".parse().expect("a label")];
        Self { version, labels, seen: Mutex::default(), meanwhile: Box::new(meanwhile) }
    }
}

impl Scorer for FakeScorer {
    fn version(&self) -> &ModelVersion {
        &self.version
    }

    fn labels(&self) -> &[Label] {
        &self.labels
    }

    fn score(&self, texts: &[&str]) -> Vec<Result<TextScores, ScoreError>> {
        (self.meanwhile)();
        self.seen.lock().expect("no panic before").extend(texts.iter().map(|text| (*text).to_owned()));
        texts.iter().map(|text| judge(text)).collect()
    }
}

fn judge(text: &str) -> Result<TextScores, ScoreError> {
    if text.contains(UNSCORABLE) {
        return Err(ScoreError::Tokenizer("no tokens".to_owned()));
    }
    let top = Probability::new(if text.contains(BAD) { 0.99 } else { 0.1 }).expect("a probability");
    let scores = vec![top];
    Ok(TextScores { scores, top, entropy: 0.5, tokens: 3, unknown_tokens: 0, windows: 1, truncated: false })
}

type Answer = Result<Arc<dyn Scorer>, ModelError>;

/// Gives the next prepared answer to each load and remembers what was asked for.
#[derive(Clone, Default)]
pub(crate) struct FakeLoader {
    pub(crate) answers: Arc<Mutex<VecDeque<Answer>>>,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl LoadModel for FakeLoader {
    async fn load(&self, source: Source<'_>) -> Result<Arc<dyn Scorer>, ModelError> {
        self.asked.lock().expect("no panic before").push(format!("{source:?}"));
        self.answers.lock().expect("no panic before").pop_front().expect("an answer was prepared")
    }
}

/// A function at work on a database of its own, with model `v1` shipped.
pub(crate) struct Fixture {
    pub(crate) context: Context<FakeLoader>,
    pub(crate) loader: FakeLoader,
    pub(crate) database: Arc<TestDatabase>,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(FakeScorer::new("v1"))).await
    }

    pub(crate) async fn with(shipped: Arc<dyn Scorer>) -> Self {
        Self::on(Arc::new(TestDatabase::create().await), shipped, Duration::from_secs(300)).await
    }

    pub(crate) async fn on(
        database: Arc<TestDatabase>,
        shipped: Arc<dyn Scorer>,
        again_after: Duration,
    ) -> Self {
        let loader = FakeLoader::default();
        database.register_model(shipped.version().as_str(), None).await;
        let models = Models::new(loader.clone(), shipped, again_after);
        let context = Context { database: Database::new(database.settings().clone()), models };
        Self { context, loader, database }
    }

    pub(crate) async fn comment(&self, id: &str, body: &str) {
        self.database.insert_item("rust", id, &ItemText::new(None, body)).await;
    }

    pub(crate) async fn handle(&self, event: SqsEvent) -> Report {
        handle(&self.context, event).await
    }

    /// Model and decision of every prediction, by item.
    pub(crate) async fn predictions(&self) -> Vec<(String, String, String)> {
        let sql = "select p.item_id, m.version, coalesce(d.outcome, '-')
            from predictions p join models m on m.id = p.model_id
                left join decisions d on d.part = p.part and d.item_id = p.item_id
                    and d.content_hash = p.content_hash and d.model_id = p.model_id
            order by 1, 2";
        let rows = self.database.client().await.query(sql, &[]).await.expect("reads");
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    }

    pub(crate) async fn waiting(&self) -> u64 {
        self.database.store().await.totals().await.expect("counts").waiting
    }
}

/// An event as SQS sends it; message ids are m0, m1, …
pub(crate) fn event(bodies: &[&str]) -> SqsEvent {
    let records = bodies.iter().enumerate().map(|(n, body)| {
        json!({"messageId": format!("m{n}"), "body": body, "attributes": {"ApproximateReceiveCount": "3"}})
    });
    serde_json::from_value(json!({"Records": records.collect::<Vec<_>>()})).expect("an SQS event")
}

/// Messages that name these items.
pub(crate) fn messages(names: &[&str]) -> SqsEvent {
    let bodies: Vec<String> = names.iter().map(|name| format!(r#"{{"item":"{name}"}}"#)).collect();
    event(&bodies.iter().map(String::as_str).collect::<Vec<_>>())
}

pub(crate) fn failures(report: &Report) -> Vec<&str> {
    let mut ids: Vec<&str> =
        report.response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
    ids.sort_unstable();
    ids
}

/// Items that had no work left in them.
pub(crate) fn done_before(report: &Report) -> usize {
    report.items - report.outcome.as_ref().expect("the database answered").texts
}
