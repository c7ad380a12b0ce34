use std::fmt;

use crate::Spend;

/// Who keeps the money. Calls run side by side, so reserving must be atomic: the sum of what is reserved and
/// what is spent never passes a limit.
///
/// A reservation that is never settled (the process died) must go on counting: the call may have been made.
pub trait Budget: Sync {
    /// The right to spend what was reserved.
    type Reservation: Send;

    /// Reserves the most that a call may cost.
    fn reserve(&self, most: Spend) -> impl Future<Output = Result<Self::Reservation, BudgetError>> + Send;

    /// Puts what the call did cost in the place of what was reserved.
    fn settle(
        &self,
        reservation: Self::Reservation,
        actual: Spend,
    ) -> impl Future<Output = Result<(), BudgetError>> + Send;
}

/// Why nothing was reserved or settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// The call could pass a limit.
    #[error("the budget of {0} is used up")]
    Exhausted(BudgetLimit),
    /// The budget cannot be asked at present.
    #[error("the budget cannot be kept: {0}")]
    Unavailable(String),
}

/// Which limit a call could pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BudgetLimit {
    /// What a run may spend, in tokens or money.
    Run,
    /// What a month may cost, in tokens or money.
    Month,
    /// One of them; the keeper does not say which.
    RunOrMonth,
}

impl fmt::Display for BudgetLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Run => "the run",
            Self::Month => "the month",
            Self::RunOrMonth => "the run or of the month",
        })
    }
}
