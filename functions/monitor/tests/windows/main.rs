//! The monitor on a real Postgres, a throw-away database for each test.

mod community;

use chrono::TimeDelta;
use community::{Community, day, policy};
use modloop_domain::DriftVerdict;
use modloop_drift::Policy;
use modloop_monitor::{MonitorError, Summary};
use serde_json::json;

fn only(summary: &Summary) -> (DriftVerdict, u32, &str) {
    assert_eq!(summary.reports.len(), 1, "{summary:?}");
    let report = &summary.reports[0];
    (report.verdict, report.breaches, report.summary.as_str())
}

#[tokio::test]
async fn a_quiet_subreddit_gets_no_verdict() {
    let community = Community::new(policy()).await;
    community.predict("rust", day(1), 199, 4.0).await;
    let summary = community.monitor(1).await.expect("monitored");
    assert_eq!(
        only(&summary),
        (DriftVerdict::Insufficient, 0, "too few items in the window: 199 of 200 needed")
    );
    assert_eq!(summary.verdict, DriftVerdict::Insufficient);
}

#[tokio::test]
async fn a_window_without_predictions_has_no_report() {
    let community = Community::new(policy()).await;
    community.predict("rust", day(1), 300, 4.0).await;
    let summary = community.monitor(2).await.expect("monitored");
    assert_eq!((summary.verdict, summary.reports.len()), (DriftVerdict::Insufficient, 0));
}

#[tokio::test]
async fn what_looks_like_the_baseline_is_stable() {
    let community = Community::new(policy()).await;
    community.predict("rust", day(1), 500, 4.0).await;
    let summary = community.monitor(1).await.expect("monitored");
    let (verdict, breaches, sentence) = only(&summary);
    assert_eq!((verdict, breaches), (DriftVerdict::Stable, 0), "{sentence}");
    let report = &summary.reports[0];
    assert_eq!((report.items, &report.statistics["reference"]), (500, &json!("model")));
    assert!(report.statistics["findings"].as_array().is_some_and(|f| f.len() >= 10), "{report:?}");
    assert_eq!(community.reports().await, [("rust".to_owned(), "stable".to_owned())]);
}

#[tokio::test]
async fn drift_is_found_when_it_lasts_and_requested_once() {
    let community = Community::new(policy()).await;
    community.predict("rust", day(1), 500, 1.5).await;
    community.predict("rust", day(2), 500, 1.5).await;

    let first = community.monitor(1).await.expect("monitored");
    let (verdict, breaches, sentence) = only(&first);
    assert_eq!((verdict, breaches), (DriftVerdict::Warning, 1));
    assert!(sentence.contains("of hate rose") && sentence.contains("threshold"), "{sentence}");
    assert_eq!(community.requests.sent(), []);

    let second = community.monitor(2).await.expect("monitored");
    assert_eq!((only(&second).0, only(&second).1, second.retrain_requests), (DriftVerdict::Drift, 2, 1));
    let again = community.monitor(2).await.expect("monitored");
    assert_eq!((again.verdict, again.retrain_requests), (DriftVerdict::Drift, 0));
    assert_eq!(again.reports[0].summary, second.reports[0].summary);
    assert_eq!(community.reports().await.len(), 2, "one report a window");

    let sent = community.requests.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let request = serde_json::to_value(&sent[0]).expect("JSON");
    assert_eq!((&request["community"], &request["model"]), (&json!("r/rust"), &json!("v1")));
    assert_eq!(
        (&request["window_start"], &request["window_end"]),
        (&json!("2026-11-02T00:00:00Z"), &json!("2026-11-03T00:00:00Z"))
    );
    assert!(
        request["episode"].is_i64() && request["reason"].as_str().is_some_and(|r| r.contains("threshold"))
    );
}

#[tokio::test]
async fn a_queue_that_fails_gets_the_request_later_and_once() {
    let community = Community::new(Policy { breaches: 1, ..policy() }).await;
    community.predict("rust", day(1), 500, 1.5).await;
    community.predict("rust", day(2), 500, 1.5).await;
    community.requests.fail_next();

    let error = community.monitor(1).await.expect_err("the queue is down");
    assert!(error.is_retryable() && matches!(error, MonitorError::Incomplete(_)), "{error}");
    assert!(error.to_string().contains("retrain request of episode"), "{error}");
    assert_eq!(community.reports().await, [("rust".to_owned(), "drift".to_owned())], "the report is there");

    assert_eq!(community.monitor(1).await.expect("monitored").retrain_requests, 1);
    assert_eq!(community.monitor(2).await.expect("monitored").retrain_requests, 0);
    assert_eq!(community.requests.sent().len(), 1);
}

#[tokio::test]
async fn killed_between_sending_and_remembering_the_same_episode_is_sent_again() {
    let community = Community::new(Policy { breaches: 1, ..policy() }).await;
    community.predict("rust", day(1), 500, 1.5).await;
    community.monitor(1).await.expect("monitored");
    community.sql("update drift_episodes set requested_at = null").await;
    community.monitor(1).await.expect("monitored");
    let sent = community.requests.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1], "a receiver can tell");
}

#[tokio::test]
async fn an_episode_ends_when_stable_and_the_next_one_waits_for_the_cool_down() {
    let community = Community::new(Policy { breaches: 1, cooldown: TimeDelta::hours(48), ..policy() }).await;
    for (at, power) in [(1, 1.5), (2, 4.0), (3, 1.5), (4, 1.5)] {
        community.predict("rust", day(at), 500, power).await;
    }
    let verdict = async |at| community.monitor(at).await.expect("monitored").verdict;
    assert_eq!(verdict(1).await, DriftVerdict::Drift);
    assert_eq!(community.open_episodes().await, 1);
    assert_eq!(verdict(2).await, DriftVerdict::Stable);
    assert_eq!(community.open_episodes().await, 0);

    let resting = community.monitor(3).await.expect("monitored");
    assert_eq!(only(&resting).0, DriftVerdict::Warning);
    assert!(only(&resting).2.ends_with("(cooling down until 2026-11-05 00:00 UTC)"), "{resting:?}");
    assert_eq!(verdict(4).await, DriftVerdict::Drift);
    assert_eq!(community.requests.sent().len(), 2);
}

#[tokio::test]
async fn few_items_neither_count_nor_end_a_row() {
    let community = Community::new(policy()).await;
    for (at, items) in [(1, 500), (2, 20), (3, 500)] {
        community.predict("rust", day(at), items, 1.5).await;
    }
    let verdicts = [
        community.monitor(1).await.expect("monitored").verdict,
        community.monitor(2).await.expect("monitored").verdict,
        community.monitor(3).await.expect("monitored").verdict,
    ];
    assert_eq!(verdicts, [DriftVerdict::Warning, DriftVerdict::Insufficient, DriftVerdict::Drift]);
}

#[tokio::test]
async fn a_community_is_compared_with_itself_once_it_is_known() {
    let community = Community::new(policy()).await;
    // Rougher than the validation set from the first day on, and the same ever since.
    for at in 1..=3 {
        community.predict("rust", day(at), 1000, 1.5).await;
    }
    let before = community.monitor(2).await.expect("monitored");
    assert_eq!(
        (before.verdict, &before.reports[0].statistics["reference"]),
        (DriftVerdict::Warning, &json!("model"))
    );
    let known = community.monitor(3).await.expect("monitored");
    assert_eq!(known.reports[0].statistics["reference"], json!("community"));
    assert_eq!(known.reports[0].statistics["reference_items"], json!(2000));
    assert_eq!(known.verdict, DriftVerdict::Stable, "{}", known.reports[0].summary);
}

#[tokio::test]
async fn labels_show_a_model_that_is_wrong() {
    let community = Community::new(policy()).await;
    community.predict("rust", day(1), 500, 4.0).await;
    community
        .sql(
            "insert into labels (item_id, content_hash, label, value, kind, actor)
             select item_id, content_hash, 'hate', false, 'person', 'local:alice' from predictions
             where scores[1] >= 0.5 limit 40",
        )
        .await;
    let summary = community.monitor(1).await.expect("monitored");
    let (verdict, _, sentence) = only(&summary);
    assert_eq!(verdict, DriftVerdict::Warning);
    assert!(sentence.contains("measured") && sentence.contains("of hate fell from 0."), "{sentence}");
    assert_eq!(summary.reports[0].statistics["labeled"]["hate"]["false_positives"], json!(40));
}

#[tokio::test]
async fn one_broken_model_does_not_stop_the_others() {
    let community = Community::new(policy()).await;
    community.predict("rust", day(1), 500, 4.0).await;
    community.predict("cats", day(1), 500, 4.0).await;
    community
        .sql(
            "insert into models (version, labels, baseline) values ('v0', '{hate}', '{\"chunks\": 7}');
             update predictions set model_id = (select id from models where version = 'v0') where item_id = 't1_cats'",
        )
        .await;
    let error = community.monitor(1).await.expect_err("no baseline for v0");
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("the baseline of model v0 cannot be used"), "{error}");
    assert_eq!(community.reports().await, [("rust".to_owned(), "stable".to_owned())]);
}

#[tokio::test]
async fn a_restart_of_postgres_loses_nothing() {
    let community = Community::new(policy()).await;
    community.predict("rust", day(1), 500, 4.0).await;
    community.monitor(2).await.expect("monitored");
    community.database.terminate_connections().await;
    assert_eq!(community.monitor(1).await.expect("monitored").verdict, DriftVerdict::Stable);
}
