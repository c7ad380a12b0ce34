//! Everything outside, in memory, and a community whose language the champion does not know.

mod outside;
mod registry;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use modloop_bundle::testing::{checkpoint, labels, parts};
use modloop_bundle::{Bundle, Checkpoint, ManifestParts, Precision, export, files, write};
use modloop_cloud::{CloudError, TrainingJob};
use modloop_domain::RunState;
use modloop_domain::{Actor, ItemText, ModelVersion, Probability};
use modloop_retrain::{Answer, Context, Deadline, RetrainError, Settings, Training, handle};
use modloop_store::Store;
use modloop_store::models::{HealthEntry, SwitchAction};
use modloop_store::predictions::{BatchHealth, NewPrediction};
use modloop_store::runs::Run;
use modloop_store::testing::TestDatabase;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

/// Texts with this word are both hateful and offensive, and only a retrained model knows.
pub(super) const CODED: &str = "zorbling";

/// What is outside, and what went on there.
#[derive(Default)]
pub(crate) struct Outer {
    pub(crate) files: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) jobs: Mutex<BTreeMap<String, TrainingJob>>,
    /// Versions in the order in which they were registered.
    pub(crate) versions: Mutex<Vec<String>>,
    pub(crate) aliases: Mutex<(String, Option<String>)>,
    /// Texts that the labeler was asked about, repeats included.
    pub(crate) asked: AtomicUsize,
    /// The labeler says the opposite.
    pub(crate) lies: AtomicBool,
    /// The challenger is no better than guessing.
    pub(crate) dull: AtomicBool,
    pub(crate) job_fails: AtomicBool,
    /// Jobs that were stopped.
    pub(crate) stopped: Mutex<Vec<String>>,
    /// Parts that cannot be reached.
    pub(crate) away: Mutex<Vec<&'static str>>,
    calls: AtomicUsize,
    pub(crate) kill_at: Mutex<Option<usize>>,
    pub(crate) killed: Notify,
}

impl Outer {
    /// Runs before and after each call takes effect.
    pub(crate) async fn point(&self, part: &'static str) -> Result<(), CloudError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.kill_at.lock().expect("no panic").take_if(|at| *at == number).is_some() {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
        if self.away.lock().expect("no panic").contains(&part) {
            return Err(CloudError::Unavailable { what: part.to_owned(), reason: "no route".to_owned() });
        }
        Ok(())
    }

    /// Jobs, versions, and what the registry calls the champion.
    pub(crate) fn counted(&self) -> (usize, usize, String) {
        let (jobs, versions) = (self.jobs.lock().expect("no panic"), self.versions.lock().expect("no panic"));
        (jobs.len(), versions.len(), self.aliases.lock().expect("no panic").0.clone())
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

/// A database, a shipped bundle and the outside.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) outer: Arc<Outer>,
    pub(crate) settings: Settings,
    _folder: TempDir,
}

impl World {
    /// A community of which every third text is in code, scored low by the champion v1.
    pub(crate) async fn new() -> Self {
        Self::of(120, 100).await
    }

    /// With so many items, of which so many are to be labeled.
    pub(crate) async fn of(items: usize, sample: usize) -> Self {
        let database = TestDatabase::create().await;
        let folder = tempfile::tempdir().expect("a folder");
        let shipped = folder.path().join("shipped");
        tiny_bundle(&shipped, "v1", 1);
        let world = Self { database, outer: Arc::default(), settings: settings(&shipped), _folder: folder };
        drop(world.context().await);
        let granted =
            world.store().await.grant_training(&Actor::local("test"), "these are made up", None).await;
        granted.expect("granted");
        let trial = json!({"items": 20, "hours": 1, "min_items": 10, "shift_margin": 0.2});
        world
            .set(
                "sampling",
                json!({"items": sample, "min_class": 5, "min_gold_class": 1, "agreement_labels": 10}),
            )
            .await;
        world.set("gate", json!({"resamples": 200})).await;
        world.set("trials", json!({"shadow": trial, "canary": trial, "canary_share": 0.5})).await;
        for n in 0..items {
            let text = if n % 3 == 0 {
                format!("no {n} {CODED} is {n} welcome")
            } else {
                format!("fine day {n} it is")
            };
            world.database.insert_item("city_talk", &format!("t1_{n}"), &ItemText::new(None, &text)).await;
        }
        let names: Vec<String> = (0..items).map(|n| format!("t1_{n}")).collect();
        world.predict(&names, &[("v1".parse().expect("a version"), 0.1, true)]).await;
        world
    }

    /// What a new process starts with.
    pub(crate) async fn context(&self) -> Context {
        let outside = outside::outside(&self.outer);
        Context::new(self.database.settings().clone(), outside, self.settings.clone()).await.expect("starts")
    }

    /// One invocation of a new process, or `None` when it was killed.
    pub(crate) async fn invoke(&self, event: Value) -> Option<Result<Answer, RetrainError>> {
        let context = self.context().await;
        tokio::select! {
            answer = handle(&context, event, Deadline::after(std::time::Duration::from_secs(800))) => Some(answer),
            () = self.outer.killed.notified() => {
                self.a_minute_passes().await;
                None
            }
        }
    }

    /// The lease of a process that was killed ends.
    pub(crate) async fn a_minute_passes(&self) {
        let sql = "update leases set until = now()";
        self.database.client().await.batch_execute(sql).await.expect("the lease ends");
    }

    /// One invocation that must go well.
    pub(crate) async fn tick(&self) -> Answer {
        self.invoke(json!({})).await.expect("nobody kills").expect("goes well")
    }

    /// Changes fields of a document of settings.
    pub(crate) async fn set(&self, name: &str, fields: Value) {
        let changed = self.store().await.change_settings(&Actor::local("test"), name, &fields).await;
        changed.expect("changed");
    }

    pub(crate) async fn store(&self) -> Store {
        self.database.store().await
    }

    /// The latest run.
    pub(crate) async fn run(&self) -> Run {
        self.store().await.runs(1).await.expect("reads").pop().expect("a run")
    }

    /// Asks for a run and moves it until it is over or waits for a trial.
    pub(crate) async fn until(&self, state: RunState) -> Run {
        self.invoke(json!({"kind": "start", "by": "local:test", "reason": "a test"}))
            .await
            .expect("alive")
            .expect("goes well");
        for _ in 0..6 {
            if self.run().await.state == state {
                break;
            }
            self.tick().await;
        }
        let run = self.run().await;
        assert_eq!(run.state, state, "{:?}", run.reason);
        run
    }

    /// Does what inference does for the models on trial: both score the same new items. The challenger flags
    /// a third of them, as the gold set predicted, or all.
    pub(crate) async fn serve(&self, flags_all: bool) {
        let store = self.store().await;
        let Some(challenger) = store.serving().await.expect("reads").challenger else { return };
        let serial: i64 = self
            .database
            .client()
            .await
            .query_one("select count(*) from items", &[])
            .await
            .expect("counts")
            .get(0);
        let names: Vec<String> = (0..30).map(|n| format!("t1_{}", 100_000 + serial + n)).collect();
        for name in &names {
            self.database
                .insert_item("city_talk", name, &ItemText::new(None, &format!("served {name}")))
                .await;
        }
        let champion: ModelVersion = "v1".parse().expect("a version");
        let version = challenger.model.version.clone();
        let (flagged, allowed) = names.split_at(if flags_all { names.len() } else { names.len() / 3 });
        for (names, top) in [(flagged, 0.9), (allowed, 0.1)] {
            self.predict(names, &[(champion.clone(), 0.1, true), (version.clone(), top, false)]).await;
        }
        let entry = |model| HealthEntry { model, items: 30, failed: 0, load_failures: 0, milliseconds: 90.0 };
        let entries = [entry(champion), entry(version.clone())];
        let health = BatchHealth { challenger: &challenger, entries: &entries };
        store.record_predictions(&[], Some(health)).await.expect("noted");
    }

    async fn predict(&self, names: &[String], models: &[(ModelVersion, f32, bool)]) {
        let store = self.store().await;
        let names: Vec<_> = names.iter().map(|name| name.parse().expect("a id")).collect();
        let items = store.items_to_score(&names).await.expect("reads");
        let p = |value| Probability::new(value).expect("a probability");
        let prediction = |item: &modloop_store::predictions::ItemToScore,
                          model: &ModelVersion,
                          top: f32,
                          decides| NewPrediction {
            id: item.id.clone(),
            content_hash: item.content_hash,
            model: model.clone(),
            scores: vec![p(top), p(top)],
            decision: item.thresholds.all.decide(p(top)),
            label: None,
            flagged_labels: Vec::new(),
            policy_id: item.policy_id,
            decides,
            tokens: 5,
            unknown_tokens: 0,
            windows: 1,
            read_whole: true,
        };
        let each = items.iter().flat_map(|item| {
            models.iter().map(move |(model, top, decides)| prediction(item, model, *top, *decides))
        });
        store.record_predictions(&each.collect::<Vec<_>>(), None).await.expect("recorded");
    }

    /// How often each alias was switched, in order.
    pub(crate) async fn switches(&self) -> Vec<SwitchAction> {
        let mut switches = self.store().await.switches(20).await.expect("reads");
        switches.reverse();
        switches.into_iter().map(|switch| switch.action).collect()
    }
}

fn settings(shipped: &Path) -> Settings {
    Settings {
        bundles_bucket: "models".into(),
        data_bucket: "models".into(),
        shipped_bundle: shipped.to_owned(),
        runtime_library: "unused".into(),
        training: Some(Training {
            image: "trainer:1".into(),
            role_arn: "arn:aws:iam::000000000000:role/training".into(),
            instance: "ml.g5.xlarge".into(),
            volume_gb: 30,
            max_seconds: 600,
            spot_wait_seconds: Some(1200),
            network: None,
            kms_key: None,
        }),
    }
}

/// A real bundle around a tiny random BERT, whose manifest says that int8 is like fp32.
pub(crate) fn tiny_bundle(out: &Path, version: &str, seed: u64) -> Bundle {
    let work = tempfile::tempdir().expect("a folder");
    checkpoint(work.path(), labels().len(), seed);
    let opened = Checkpoint::open(work.path()).expect("opens");
    let model = work.path().join(files::MODEL);
    std::fs::write(&model, export(&opened, Precision::Int8).expect("exports")).expect("written");
    let metrics = json!({"parity": {"items": 100, "decision_flips": 0}});
    let sources = [files::MODEL, files::TOKENIZER, files::CONFIG].map(|name| (name, work.path().join(name)));
    write(out, ManifestParts { metrics, ..parts(version, &labels()) }, &sources).expect("whole")
}
