use std::cell::Cell;
use std::time::{Duration, Instant};

use futures::StreamExt;
use modloop_labeler::NoLabel;
use modloop_local::labeler::{Fault, Options, StandIn};

use crate::ledger::{Ledger, LostBeforeSettling, Unreachable};
use crate::rig::{
    at_once, item, items, judge, label, label_one, labeler, settings, stand_in, why, with_settings,
};

#[tokio::test]
async fn no_more_calls_at_once_than_allowed() {
    let think = Duration::from_millis(40);
    let options = Options { think, ..Options::new(judge()) };
    let stand_in = StandIn::start(options).await.expect("a stand-in");
    let labeler = with_settings(at_once(settings(&stand_in), 5));
    let outcomes = label(&labeler, (0..40).map(|n| item(n, "a fine day")).collect(), &Ledger::plenty()).await;
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
    assert_eq!(stand_in.stats().most_at_once, 5);
}

#[tokio::test]
async fn retry_after_holds_all_calls_back() {
    let stand_in = stand_in().await;
    let labeler = with_settings(at_once(settings(&stand_in), 1));
    stand_in.break_next([Fault::TooMany]);
    let start = Instant::now();
    let outcomes = label(&labeler, items(["one", "two"]), &Ledger::plenty()).await;
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
    // Its header asks for a second.
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(stand_in.stats().requests, 3);
}

/// An iterator that ends when time runs short ends the work, and nothing that was paid for is lost.
#[tokio::test]
async fn texts_are_taken_only_when_there_is_room() {
    let stand_in = stand_in().await;
    let labeler = with_settings(at_once(settings(&stand_in), 3));
    let (taken, budget) = (Cell::new(0), Ledger::plenty());
    let texts = (0..100).map(|n| item(n, "a fine day")).inspect(|_| taken.set(taken.get() + 1));
    let outcomes = labeler.label(texts, &budget);
    let mut outcomes = std::pin::pin!(outcomes);
    assert!(outcomes.next().await.is_some());
    assert!(taken.get() <= 4, "{} texts taken for one outcome", taken.get());
}

#[tokio::test]
async fn without_its_budget_nothing_is_sent() {
    let stand_in = stand_in().await;
    let outcomes = label(&labeler(&stand_in), items(["one", "two"]), &Unreachable).await;
    for outcome in &outcomes {
        assert!(matches!(why(outcome), NoLabel::BudgetUnavailable(problem) if problem.contains("database")));
        assert!(why(outcome).is_retryable());
    }
    assert_eq!(stand_in.stats().requests, 0);
}

#[tokio::test]
async fn an_answer_outlives_a_budget_that_cannot_settle() {
    let stand_in = stand_in().await;
    let outcome = label_one(&labeler(&stand_in), "a fine day", &LostBeforeSettling).await;
    assert!(outcome.result.is_ok() && stand_in.stats().requests == 1);
}
