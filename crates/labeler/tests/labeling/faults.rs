use std::num::NonZeroU32;
use std::time::Duration;

use modloop_labeler::{NoLabel, Retries, Spend};
use modloop_local::labeler::{Fault, Faults, Options, StandIn};

use crate::ledger::{Ledger, LostBeforeSettling};
use crate::rig::{
    answers, at_once, item, items, judge, label, label_one, labeler, settings, stand_in, why, with_settings,
};

const SHORT: Duration = Duration::from_millis(400);

#[tokio::test]
async fn what_passes_is_tried_again() {
    for fault in [Fault::Overloaded, Fault::BadGateway, Fault::HalfJson, Fault::Timeout] {
        let (stand_in, budget) = (stand_in().await, Ledger::plenty());
        stand_in.break_next([fault]);
        let labeler = with_settings(settings(&stand_in).with_timeout(SHORT));
        let outcome = label_one(&labeler, "all blorks must leave", &budget).await;
        assert_eq!(answers(&outcome.result.expect("a label")), (true, true), "{fault:?}");
        assert_eq!((stand_in.stats().requests, budget.seen().settlements), (2, 2), "{fault:?}");
    }
}

#[tokio::test]
async fn what_the_model_says_is_not_asked_twice() {
    for (fault, reason) in [
        (Fault::Refusal, "refused"),
        (Fault::ContentFilter, "refused"),
        (Fault::CutOff, "cut_off"),
        (Fault::Prose, "out_of_schema"),
        (Fault::LabelMissing, "out_of_schema"),
        (Fault::WrongType, "out_of_schema"),
    ] {
        let stand_in = stand_in().await;
        stand_in.break_next([fault]);
        let outcome = label_one(&labeler(&stand_in), "all blorks must leave", &Ledger::plenty()).await;
        assert_eq!((why(&outcome).reason(), stand_in.stats().requests), (reason, 1), "{fault:?}");
        let stats = stand_in.stats();
        assert_eq!(outcome.spent.tokens(), stats.prompt_tokens + stats.completion_tokens, "{fault:?}");
    }
}

#[tokio::test]
async fn what_stays_broken_is_no_label() {
    for (fault, reason) in
        [(Fault::Overloaded, "unavailable"), (Fault::HalfJson, "unavailable"), (Fault::Timeout, "timeout")]
    {
        let stand_in = stand_in().await;
        stand_in.break_next([fault; 3]);
        let labeler = with_settings(settings(&stand_in).with_timeout(SHORT));
        let outcomes = label(&labeler, items(["all blorks must leave"]), &Ledger::plenty()).await;
        assert_eq!((why(&outcomes[0]).reason(), stand_in.stats().requests), (reason, 3), "{fault:?}");
        assert!(why(&outcomes[0]).is_retryable());
    }
}

#[tokio::test]
async fn an_answer_without_usage_counts_in_full() {
    let (stand_in, budget) = (stand_in().await, Ledger::plenty());
    stand_in.break_next([Fault::NoUsage]);
    let outcome = label_one(&labeler(&stand_in), "a fine day", &budget).await;
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.spent.tokens(), budget.seen().max_tokens);
}

#[tokio::test]
async fn without_credit_nobody_else_is_asked() {
    let stand_in = stand_in().await;
    stand_in.break_next([Fault::NoCredit; 50]);
    let labeler = with_settings(at_once(settings(&stand_in), 2));
    let texts = (0..50).map(|n| item(n, "a fine day")).collect();
    let outcomes = label(&labeler, texts, &Ledger::plenty()).await;
    assert_eq!(outcomes.len(), 50);
    assert!(outcomes.iter().all(|outcome| why(outcome) == &NoLabel::Credit && outcome.spent == Spend::NONE));
    assert!(stand_in.stats().requests <= 2, "{:?}", stand_in.stats());
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_left_alone() {
    let stand_in = stand_in().await;
    stand_in.break_next([Fault::Overloaded; 90]);
    let labeler = with_settings(at_once(settings(&stand_in), 1));
    let outcomes = label(&labeler, (0..30).map(|n| item(n, "a fine day")).collect(), &Ledger::plenty()).await;
    assert!(outcomes.iter().all(|outcome| why(outcome).reason() == "unavailable"));
    assert_eq!(stand_in.stats().requests, 5 * 3, "five texts, three tries each");
}

#[tokio::test]
async fn an_endpoint_that_bills_more_than_it_may_is_asked_nothing_more() {
    let stand_in = stand_in().await;
    stand_in.break_next([Fault::Overbilled]);
    let labeler = with_settings(at_once(settings(&stand_in), 1));
    let outcomes = label(&labeler, items(["all blorks must leave", "a fine day"]), &LostBeforeSettling).await;
    assert!(outcomes[0].result.is_ok(), "what is paid for is kept");
    assert_eq!((why(&outcomes[1]), stand_in.stats().requests), (&NoLabel::Overbilled, 1));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_named_and_costs_nothing() {
    let stand_in = stand_in().await;
    let (labeler, budget) = (labeler(&stand_in), Ledger::plenty());
    drop(stand_in);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let outcome = label_one(&labeler, "a fine day", &budget).await;
    assert_eq!((why(&outcome).reason(), outcome.spent), ("unavailable", Spend::NONE));
}

/// Enough texts that every kind of fault occurs: each text ends with the right labels or with a reason, never
/// with wrong labels.
#[tokio::test]
async fn a_bad_day_makes_no_wrong_label() {
    let faults = Faults { seed: 3, hold: SHORT + Duration::from_millis(200) };
    let stand_in = StandIn::start(Options::new(judge()).with_faults(faults)).await.expect("a stand-in");
    let retries = Retries {
        attempts: NonZeroU32::new(4).expect("four"),
        first_wait: Duration::from_millis(5),
        max_wait: Duration::from_millis(20),
    };
    let labeler = with_settings(at_once(settings(&stand_in).with_timeout(SHORT).with_retries(retries), 8));
    let text = |n: usize| if n.is_multiple_of(2) { "all blorks must leave" } else { "a fine day" };
    let texts = (0..150).map(|n| item(n, text(n))).collect();
    let outcomes = label(&labeler, texts, &Ledger::plenty()).await;
    assert_eq!(outcomes.len(), 150);
    for (n, outcome) in outcomes.iter().enumerate() {
        if let Ok(verdict) = &outcome.result {
            let right = n.is_multiple_of(2);
            assert_eq!(answers(verdict), (right, right), "{}", outcome.id);
        }
    }
    let labeled = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    let stats = stand_in.stats();
    assert!(labeled > 130, "{labeled} labeled, {stats:?}");
    assert_eq!(stats.faults.len(), Fault::PASSING.len(), "{stats:?}");
}
