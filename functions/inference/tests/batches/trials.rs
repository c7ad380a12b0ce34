//! A challenger beside the champion: in shadow it decides nothing, in canary for its share, and no item loses
//! its decision over it.

use std::sync::Arc;
use std::time::Duration;

use modloop_inference::Scorer;
use modloop_store::testing::TestDatabase;

use crate::fixture::{BAD, FakeScorer, Fixture, UNSCORABLE, failures, messages};

const URI: &str = "s3://bundles/v2.tar.gz";

/// v1 in service and v2 on trial.
async fn on_trial(mode: &str, share: f32, challenger: Arc<dyn Scorer>) -> Fixture {
    let database = Arc::new(TestDatabase::create().await);
    database.register_model("v2", Some(URI)).await;
    let function = Fixture::on(database, Arc::new(FakeScorer::new("v1")), Duration::from_secs(300)).await;
    point(&function, mode, share).await;
    function.loader.answers.lock().expect("no panic").push_back(Ok(challenger));
    function
}

async fn point(function: &Fixture, mode: &str, share: f32) {
    let sql = "insert into model_aliases (alias, model_id, mode, share)
               select 'challenger', id, $1, $2 from models where version = 'v2'
               on conflict (alias) do update set mode = excluded.mode, share = excluded.share";
    function.database.client().await.execute(sql, &[&mode, &share]).await.expect("switched");
}

async fn score(function: &Fixture, names: &[String], text: &str) {
    for name in names {
        function.comment(name, text).await;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(failures(&function.handle(messages(&names)).await).is_empty());
}

/// Items that a model decided, and items that it scored beside the other.
async fn counts(function: &Fixture, model: &str) -> (i64, i64) {
    let sql = "select count(*) filter (where decides), count(*) filter (where not decides)
               from predictions p join models m on m.id = p.model_id where m.version = $1";
    let row = function.database.client().await.query_one(sql, &[&model]).await.expect("counts");
    (row.get(0), row.get(1))
}

async fn health(function: &Fixture, model: &str) -> (i64, i64, i64) {
    let sql = "select sum(items)::bigint, sum(failed)::bigint, sum(load_failures)::bigint
               from trial_health h join models m on m.id = h.model_id where m.version = $1";
    let row = function.database.client().await.query_one(sql, &[&model]).await.expect("a row");
    (row.get(0), row.get(1), row.get(2))
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("t1_{n}")).collect()
}

#[tokio::test]
async fn in_shadow_the_challenger_scores_and_decides_nothing() {
    let function = on_trial("shadow", 1.0, Arc::new(FakeScorer::new("v2"))).await;
    score(&function, &names(10), "fine").await;
    assert_eq!((counts(&function, "v1").await, counts(&function, "v2").await), ((10, 0), (0, 10)));
    assert_eq!(health(&function, "v2").await, (10, 0, 0));
    assert_eq!(function.waiting().await, 0);
}

#[tokio::test]
async fn in_canary_it_decides_for_the_same_share_in_every_process() {
    let function = on_trial("canary", 0.3, Arc::new(FakeScorer::new("v2"))).await;
    score(&function, &names(200), "fine").await;
    let (decided, beside) = counts(&function, "v2").await;
    assert_eq!(beside, 0);
    assert!((40..80).contains(&decided), "{decided} of 200");
    assert_eq!(counts(&function, "v1").await, (200 - decided, decided));

    let again = on_trial("canary", 0.3, Arc::new(FakeScorer::new("v2"))).await;
    score(&again, &names(200), "fine").await;
    assert_eq!(function.predictions().await, again.predictions().await);
}

#[tokio::test]
async fn an_item_keeps_its_decision_where_the_challenger_cannot_score_it() {
    struct Broken(FakeScorer);
    impl Scorer for Broken {
        fn version(&self) -> &modloop_domain::ModelVersion {
            self.0.version()
        }
        fn labels(&self) -> &[modloop_domain::Label] {
            self.0.labels()
        }
        fn score(
            &self,
            texts: &[&str],
        ) -> Vec<Result<modloop_classifier::TextScores, modloop_classifier::ScoreError>> {
            self.0.score(&vec![UNSCORABLE; texts.len()])
        }
    }
    let function = on_trial("canary", 1.0, Arc::new(Broken(FakeScorer::new("v2")))).await;
    score(&function, &names(5), BAD).await;
    assert_eq!((counts(&function, "v1").await, counts(&function, "v2").await), ((5, 0), (0, 0)));
    assert_eq!((health(&function, "v2").await, health(&function, "v1").await), ((0, 5, 0), (5, 0, 0)));
}

#[tokio::test]
async fn a_challenger_that_cannot_be_loaded_costs_nothing_but_its_reputation() {
    let function = on_trial("canary", 1.0, Arc::new(FakeScorer::new("another"))).await;
    score(&function, &names(5), "fine").await;
    assert_eq!(counts(&function, "v1").await, (5, 0));
    assert_eq!(health(&function, "v2").await, (0, 0, 1));
}

#[tokio::test]
async fn a_batch_in_flight_finishes_with_the_challenger_that_was_withdrawn() {
    let function = Arc::new(tokio::sync::OnceCell::<Arc<TestDatabase>>::new());
    let database = function.clone();
    // While the challenger scores, somebody withdraws it.
    let withdraw = move || {
        let database = database.get().expect("set before").clone();
        let task = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let delete = "delete from model_aliases where alias = 'challenger'";
                database.client().await.batch_execute(delete).await.expect("withdrawn");
            });
        });
        task.join().expect("withdrawn");
    };
    let running = on_trial("canary", 1.0, Arc::new(FakeScorer::with("v2", withdraw))).await;
    assert!(function.set(running.database.clone()).is_ok());
    score(&running, &["t1_1".into()], "fine").await;
    assert_eq!(counts(&running, "v2").await, (1, 0));
    score(&running, &["t1_2".into()], "fine").await;
    assert_eq!((counts(&running, "v2").await, counts(&running, "v1").await), ((1, 0), (1, 1)));
}

#[tokio::test]
async fn a_challenger_that_takes_over_is_not_loaded_again() {
    let function = on_trial("canary", 1.0, Arc::new(FakeScorer::new("v2"))).await;
    score(&function, &["t1_1".into()], "fine").await;
    let promote = "delete from model_aliases;
        insert into model_aliases (alias, model_id, mode) select 'champion', id, 'champion' from models where version = 'v2'";
    function.database.client().await.batch_execute(promote).await.expect("switched");
    score(&function, &["t1_2".into()], "fine").await;
    assert_eq!(counts(&function, "v2").await, (2, 0));
    assert_eq!(function.loader.asked.lock().expect("no panic").len(), 1);
}
