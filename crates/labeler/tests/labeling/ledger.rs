use std::sync::{Mutex, MutexGuard, PoisonError};

use modloop_labeler::{Budget, BudgetError, BudgetLimit, Spend};

/// A budget in memory that remembers the most that was ever bound.
pub(crate) struct Ledger {
    tokens: u64,
    micros: u64,
    state: Mutex<State>,
}

#[derive(Default, Clone, Copy)]
pub(crate) struct State {
    pub(crate) reserved: Spend,
    pub(crate) spent: Spend,
    /// Of reserved and spent together.
    pub(crate) max_tokens: u64,
    pub(crate) max_micros: u64,
    pub(crate) reservations: u64,
    pub(crate) settlements: u64,
}

impl Ledger {
    pub(crate) fn new(tokens: u64, micros: u64) -> Self {
        Self { tokens, micros, state: Mutex::default() }
    }

    pub(crate) fn plenty() -> Self {
        Self::new(u64::MAX, u64::MAX)
    }

    pub(crate) fn seen(&self) -> State {
        *self.state()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget for Ledger {
    type Reservation = Spend;

    async fn reserve(&self, most: Spend) -> Result<Spend, BudgetError> {
        // As if a database were asked: others run in between.
        tokio::task::yield_now().await;
        let mut state = self.state();
        let bound = state.reserved + state.spent + most;
        if bound.tokens() > self.tokens || bound.cost.0 > self.micros {
            return Err(BudgetError::Exhausted(BudgetLimit::Run));
        }
        state.reserved += most;
        state.reservations += 1;
        state.max_tokens = state.max_tokens.max(bound.tokens());
        state.max_micros = state.max_micros.max(bound.cost.0);
        Ok(most)
    }

    async fn settle(&self, reserved: Spend, actual: Spend) -> Result<(), BudgetError> {
        tokio::task::yield_now().await;
        assert!(
            actual.tokens() <= reserved.tokens() && actual.cost <= reserved.cost,
            "{actual:?} of {reserved:?}"
        );
        let mut state = self.state();
        state.reserved.input_tokens -= reserved.input_tokens;
        state.reserved.output_tokens -= reserved.output_tokens;
        state.reserved.cost.0 -= reserved.cost.0;
        state.spent += actual;
        state.settlements += 1;
        Ok(())
    }
}

/// A budget whose keeper is out of reach.
pub(crate) struct Unreachable;

impl Budget for Unreachable {
    type Reservation = ();

    async fn reserve(&self, _most: Spend) -> Result<(), BudgetError> {
        Err(BudgetError::Unavailable("no connection to the database".into()))
    }

    async fn settle(&self, _reservation: (), _actual: Spend) -> Result<(), BudgetError> {
        Err(BudgetError::Unavailable("no connection to the database".into()))
    }
}

/// A budget whose keeper goes away between reserving and settling.
pub(crate) struct LostBeforeSettling;

impl Budget for LostBeforeSettling {
    type Reservation = ();

    async fn reserve(&self, _most: Spend) -> Result<(), BudgetError> {
        Ok(())
    }

    async fn settle(&self, _reservation: (), _actual: Spend) -> Result<(), BudgetError> {
        Err(BudgetError::Unavailable("the connection broke".into()))
    }
}
