use modloop_store::budget::{Limit, Spend};
use modloop_store::testing::TestDatabase;

use super::with_run;

fn limits(run: i64, run_tokens: u64, month_tokens: u64) -> [Limit; 2] {
    let limit = |period: String, tokens| Limit { period, max: Spend { tokens, micros: 1_000_000 } };
    [limit(format!("run-{run}"), run_tokens), limit("month-2026-11".into(), month_tokens)]
}

const CALL: Spend = Spend { tokens: 100, micros: 10 };

#[tokio::test]
async fn nothing_is_reserved_where_one_limit_would_be_passed() {
    let (_database, store, run) = with_run().await;
    let first = store.reserve(run, &limits(run, 250, 150), CALL).await.expect("asks").expect("fits");
    assert!(store.reserve(run, &limits(run, 250, 150), CALL).await.expect("asks").is_none());
    let spent = store.spent(&format!("run-{run}")).await.expect("reads");
    assert_eq!((spent.reserved, spent.spent), (CALL, Spend::default()));

    // A call that cost less makes room, and settling it twice makes no more.
    let used = Spend { tokens: 40, micros: 4 };
    for _ in 0..2 {
        store.settle(first, used).await.expect("settled");
    }
    let spent = store.spent("month-2026-11").await.expect("reads");
    assert_eq!((spent.reserved, spent.spent), (Spend::default(), used));
    assert!(store.reserve(run, &limits(run, 250, 150), CALL).await.expect("asks").is_some());
}

#[tokio::test]
async fn what_a_killed_process_reserved_counts_as_spent() {
    let (_database, store, run) = with_run().await;
    for _ in 0..2 {
        store.reserve(run, &limits(run, 1000, 1000), CALL).await.expect("asks").expect("fits");
    }
    for _ in 0..2 {
        store.settle_abandoned(run).await.expect("settled");
    }
    let spent = store.spent(&format!("run-{run}")).await.expect("reads");
    assert_eq!((spent.reserved.tokens, spent.spent.tokens, spent.spent.micros), (0, 200, 20));
}

async fn reserve_in_vain(database: &TestDatabase, run: i64) -> usize {
    let store = database.store().await;
    let mut got = 0;
    for _ in 0..10 {
        got +=
            usize::from(store.reserve(run, &limits(run, 100_000, 1250), CALL).await.expect("asks").is_some());
    }
    got
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_never_pass_a_limit() {
    let (database, store, run) = with_run().await;
    let tries = (0..8).map(|_| reserve_in_vain(&database, run));
    let got: usize = futures::future::join_all(tries).await.into_iter().sum();
    assert_eq!(got, 12);
    assert_eq!(store.spent("month-2026-11").await.expect("reads").reserved.tokens, 1200);
}
