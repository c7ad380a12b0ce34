use modloop_store::testing::TestDatabase;
use modloop_store::{Store, migrate};

#[tokio::test]
async fn an_empty_database_becomes_usable_and_a_second_run_does_nothing() {
    let database = TestDatabase::create_empty().await;
    let first = migrate(database.settings()).await.expect("migrates");
    assert!(first.applied[0].starts_with("V1__") && first.version >= 1, "{first:?}");
    let json = serde_json::to_value(&first).expect("serialises");
    assert_eq!(
        (&json["applied"][0], &json["version"]),
        (&first.applied[0].as_str().into(), &first.version.into())
    );
    let second = migrate(database.settings()).await.expect("migrates again");
    assert_eq!((second.applied, second.version), (vec![], first.version));
    assert!(Store::connect(database.settings()).await.is_ok());
}

#[tokio::test]
async fn two_migrators_may_run_at_once() {
    let database = TestDatabase::create_empty().await;
    let (one, two) = tokio::join!(migrate(database.settings()), migrate(database.settings()));
    let applied = [one.expect("migrates"), two.expect("migrates")].map(|report| report.applied.len());
    assert!(applied.contains(&0) && applied.iter().sum::<usize>() >= 1, "{applied:?}");
}

#[tokio::test]
async fn an_older_release_leaves_a_newer_schema_alone_and_works_with_it() {
    let database = TestDatabase::create().await;
    let newer = "insert into refinery_schema_history values (9999, 'later', '2030-01-01T00:00:00Z', '1')";
    database.client().await.batch_execute(newer).await.expect("a later release was here");
    let report = migrate(database.settings()).await.expect("nothing to do");
    assert_eq!((report.applied, report.version), (vec![], 9999));
    assert!(Store::connect(database.settings()).await.is_ok());
}
