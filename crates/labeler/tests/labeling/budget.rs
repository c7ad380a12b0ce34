use std::time::Duration;

use modloop_labeler::{NoLabel, Prices};
use modloop_local::labeler::{Faults, Options, StandIn, Stats};
use proptest::prelude::*;

use crate::ledger::{Ledger, State};
use crate::rig::{
    INPUT_PRICE, OUTPUT_PRICE, at_once, item, judge, label, settings, stand_in, why, with_settings,
};

const TEXTS: usize = 40;

/// What the endpoint bills and what the ledger saw, after labeling within a limit.
async fn spent(limit: (u64, u64), calls: usize, seed: Option<u64>) -> (Stats, State, usize) {
    let mut options = Options::new(judge());
    options.faults = seed.map(|seed| Faults { seed, hold: Duration::from_millis(500) });
    let stand_in = StandIn::start(options).await.expect("a stand-in");
    let labeler = with_settings(at_once(settings(&stand_in), calls).with_timeout(Duration::from_millis(300)));
    let ledger = Ledger::new(limit.0, limit.1);
    let outcomes = label(&labeler, (0..TEXTS).map(|n| item(n, "a fine day")).collect(), &ledger).await;
    assert_eq!(outcomes.len(), TEXTS);
    let labeled = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    (stand_in.stats(), ledger.seen(), labeled)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 0, ..ProptestConfig::default() })]

    /// At any concurrency and on a bad day, timeouts and lost answers included.
    #[test]
    fn no_limit_is_ever_passed(
        tokens in 0u64..120_000, micros in 0u64..25_000, calls in 1usize..16, seed in proptest::option::of(0u64..99),
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (billed, seen, _) = runtime.block_on(spent((tokens, micros), calls, seed));
        let prices = Prices::per_million(INPUT_PRICE, OUTPUT_PRICE).expect("prices");
        let bill = prices.of(billed.prompt_tokens, billed.completion_tokens);
        prop_assert!(seen.max_tokens <= tokens && seen.max_micros <= micros);
        prop_assert!(bill.tokens() <= seen.spent.tokens(), "{} billed, {} counted", bill.tokens(), seen.spent.tokens());
        prop_assert!(bill.cost <= seen.spent.cost && bill.cost.0 <= micros);
        prop_assert_eq!(seen.reservations, seen.settlements);
        prop_assert_eq!(seen.reserved.tokens(), 0);
    }
}

#[tokio::test]
async fn a_used_up_budget_ends_the_calls_and_says_so() {
    let stand_in = stand_in().await;
    // A call reserves some six thousand tokens and takes about fifteen hundred.
    let ledger = Ledger::new(20_000, u64::MAX);
    let labeler = with_settings(at_once(settings(&stand_in), 1));
    let outcomes = label(&labeler, (0..TEXTS).map(|n| item(n, "a fine day")).collect(), &ledger).await;
    let labeled = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    assert!((5..TEXTS).contains(&labeled), "{labeled} labeled");
    assert!(outcomes[labeled..].iter().all(|outcome| matches!(why(outcome), NoLabel::Budget(_))));
    assert!(why(&outcomes[TEXTS - 1]).to_string().contains("budget of the run is used up"));
    assert_eq!(stand_in.stats().requests as usize, labeled);
}

#[tokio::test]
async fn money_is_a_limit_of_its_own() {
    let (stats, seen, labeled) = spent((u64::MAX, 3_000), 4, None).await;
    assert!((1..TEXTS).contains(&labeled), "{labeled} labeled");
    assert!(seen.spent.cost.0 <= 3_000 && stats.requests as usize == labeled);
}
