use modloop_labeler::{Budget, BudgetError, BudgetLimit, Spend as Cost};
use modloop_store::budget::{Limit, Reservation, Spend};
use modloop_store::{Database, StoreError};

/// The budget of one run and of the month, kept in the database.
pub struct RunBudget<'a> {
    database: &'a Database,
    run: i64,
    limits: [Limit; 2],
}

impl<'a> RunBudget<'a> {
    /// Neither `of_run` nor `of_month` is ever passed.
    pub async fn new(
        database: &'a Database,
        run: i64,
        of_run: Spend,
        of_month: Spend,
    ) -> Result<Self, StoreError> {
        let month = database.session().await?.month().await?;
        let limits =
            [Limit { period: Self::period(run), max: of_run }, Limit { period: month, max: of_month }];
        Ok(Self { database, run, limits })
    }

    /// What a run's spending is kept under.
    pub fn period(run: i64) -> String {
        format!("run-{run}")
    }
}

impl Budget for RunBudget<'_> {
    type Reservation = Reservation;

    async fn reserve(&self, max: Cost) -> Result<Reservation, BudgetError> {
        let session = self.database.session().await.map_err(unavailable)?;
        let reserved = session.reserve(self.run, &self.limits, spend(max)).await.map_err(unavailable)?;
        reserved.ok_or(BudgetError::Exhausted(BudgetLimit::RunOrMonth))
    }

    async fn settle(&self, reservation: Reservation, actual: Cost) -> Result<(), BudgetError> {
        let session = self.database.session().await.map_err(unavailable)?;
        session.settle(reservation, spend(actual)).await.map_err(unavailable)
    }
}

fn spend(cost: Cost) -> Spend {
    Spend { tokens: cost.tokens(), micros: cost.cost.0 }
}

fn unavailable(error: StoreError) -> BudgetError {
    BudgetError::Unavailable(error.to_string())
}
