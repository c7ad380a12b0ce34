//! What labeling may cost: reserved before a call, settled after it.

use serde::{Deserialize, Serialize};

use tokio_postgres::types::Type;

use crate::row::{column, count};
use crate::{Store, StoreError};

/// Tokens and money, in millionths of a dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spend {
    /// Tokens of prompts and answers together.
    pub tokens: u64,
    /// Millionths of a dollar.
    pub micros: u64,
}

/// What may be spent in a period, reserved and spent together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Such as `run-7` or `month-2026-11`.
    pub period: String,
    /// Reserved and spent together stay at or below this.
    pub max: Spend,
}

/// The right to spend so much. Settle it after the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation(i64);

/// What a period has cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// Such as `run-7`.
    pub period: String,
    /// Known to be spent.
    pub spent: Spend,
    /// May be spent by calls under way.
    pub reserved: Spend,
}

const OPEN_PERIODS: &str = "
    insert into budget_spend (period) select unnest($1::text[]) on conflict (period) do nothing";

/// All periods or none. The rows are locked in one order, and read as they are after the wait: two
/// reservations that fit only alone never both succeed.
const RESERVE: &str = "
    with limits as (
        select * from unnest($2::text[], $3::bigint[], $4::bigint[]) as l(period, tokens, micros)
    ), locked as (
        select b.* from budget_spend b where b.period = any($2) order by b.period for update
    ), fit as (
        select count(*) = cardinality($2) as all_fit
        from locked b join limits l using (period)
        where b.reserved_tokens + b.spent_tokens + $5 <= l.tokens
            and b.reserved_micros + b.spent_micros + $6 <= l.micros
    ), raised as (
        update budget_spend b
        set reserved_tokens = b.reserved_tokens + $5, reserved_micros = b.reserved_micros + $6
        from fit where fit.all_fit and b.period = any($2)
    )
    insert into budget_reservations (run_id, periods, tokens, cost_micros)
    select $1, $2, $5, $6 from fit where all_fit
    returning id";

const SETTLE: &str = "
    with settled as (
        update budget_reservations set settled_at = now()
        where id = $1 and settled_at is null returning periods, tokens, cost_micros
    )
    update budget_spend b
    set reserved_tokens = b.reserved_tokens - s.tokens, reserved_micros = b.reserved_micros - s.cost_micros,
        spent_tokens = b.spent_tokens + $2, spent_micros = b.spent_micros + $3
    from settled s where b.period = any(s.periods)";

/// Nobody knows whether the calls of a killed process were made: they count in full.
const ABANDONED: &str = "
    with settled as (
        update budget_reservations set settled_at = now()
        where run_id = $1 and settled_at is null returning periods, tokens, cost_micros
    ), sums as (
        select period, sum(tokens)::bigint as tokens, sum(cost_micros)::bigint as micros
        from settled cross join lateral unnest(periods) as period group by period
    )
    update budget_spend b
    set reserved_tokens = b.reserved_tokens - s.tokens, reserved_micros = b.reserved_micros - s.micros,
        spent_tokens = b.spent_tokens + s.tokens, spent_micros = b.spent_micros + s.micros
    from sums s where b.period = s.period";

const DOING: &str = "keeping the labeling budget";

impl Store {
    /// Reserves before a call what it may cost. `None`: a limit would be passed; nothing is reserved. Must not
    /// be repeated by itself: each call reserves.
    pub async fn reserve(
        &self,
        run: i64,
        limits: &[Limit],
        max: Spend,
    ) -> Result<Option<Reservation>, StoreError> {
        let periods: Vec<&str> = limits.iter().map(|limit| limit.period.as_str()).collect();
        let tokens: Vec<i64> = limits.iter().map(|limit| whole(limit.max.tokens)).collect();
        let micros: Vec<i64> = limits.iter().map(|limit| whole(limit.max.micros)).collect();
        self.change(DOING, OPEN_PERIODS, &[(&periods as _, Type::TEXT_ARRAY)]).await?;
        let parameters = [
            (&run as _, Type::INT8),
            (&periods as _, Type::TEXT_ARRAY),
            (&tokens as _, Type::INT8_ARRAY),
            (&micros as _, Type::INT8_ARRAY),
            (&whole(max.tokens) as _, Type::INT8),
            (&whole(max.micros) as _, Type::INT8),
        ];
        let row = self.row_or_none(DOING, RESERVE, &parameters).await?;
        row.map(|row| column(&row, "id").map(Reservation)).transpose()
    }

    /// Puts what a call cost in the place of what was reserved. May be repeated.
    pub async fn settle(&self, reservation: Reservation, used: Spend) -> Result<(), StoreError> {
        let Reservation(id) = reservation;
        let parameters = [
            (&id as _, Type::INT8),
            (&whole(used.tokens) as _, Type::INT8),
            (&whole(used.micros) as _, Type::INT8),
        ];
        self.change(DOING, SETTLE, &parameters).await.map(drop)
    }

    /// Counts as spent what a killed process reserved for this run. Only for the one process that works on it.
    pub async fn settle_abandoned(&self, run: i64) -> Result<(), StoreError> {
        self.change(DOING, ABANDONED, &[(&run as _, Type::INT8)]).await.map(drop)
    }

    /// What a period has cost so far; nothing where nobody spent.
    pub async fn spent(&self, period: &str) -> Result<Spent, StoreError> {
        let sql = "select * from budget_spend where period = $1";
        let row = self.row_or_none(DOING, sql, &[(&period as _, Type::TEXT)]).await?;
        let spend = |kind: &str| match &row {
            None => Ok(Spend::default()),
            Some(row) => Ok::<_, StoreError>(Spend {
                tokens: count(row, &format!("{kind}_tokens"))?,
                micros: count(row, &format!("{kind}_micros"))?,
            }),
        };
        Ok(Spent { period: period.to_owned(), spent: spend("spent")?, reserved: spend("reserved")? })
    }

    /// The current month as the database's clock has it, as a period.
    pub async fn month(&self) -> Result<String, StoreError> {
        let sql = "select to_char(now() at time zone 'utc', '\"month-\"YYYY-MM') as period";
        column(&self.row(DOING, sql, &[]).await?, "period")
    }
}

/// Budgets beyond 2^63 are no limits.
fn whole(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX / 4)
}
