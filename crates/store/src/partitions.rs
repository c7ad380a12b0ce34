//! Growth and retention: partitions are made ahead of time, and dropped when their texts expire.

use chrono::NaiveDate;
use serde::Serialize;
use tokio_postgres::types::Type;

use crate::row::{column, count};
use crate::{Store, StoreError};

/// One step of retention. Each is small, may be repeated, and blocks no writer for over two seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum RetentionStep {
    /// Flagged or labeled items of an expiring week were moved to the kept ones.
    Kept {
        /// How many.
        items: u64,
    },
    /// A week's texts, predictions and decisions were dropped.
    Dropped {
        /// Its Monday.
        week: NaiveDate,
    },
    /// Heads of dropped or expired items were deleted.
    Deleted {
        /// How many.
        items: u64,
    },
    /// Nothing is left to do.
    Done,
}

/// Items a step moves or deletes.
const STEP: i64 = 2000;

/// Open items of people's queue count as flagged, whatever became of the rest.
const KEEP: &str = "
    update items set part = '9999-12-31' where id in (
        select i.id from items i
        where i.part = $1 and (
            exists (select from decisions d where d.part = $1 and d.item_id = i.id and (d.outcome <> 'allow' or d.no > 0))
            or exists (select from labels l where l.item_id = i.id)
            or exists (select from queue q where q.item_id = i.id))
        limit $2)";

/// Heads of weeks that have no partition any more, and kept items that expired. What an item's run or label
/// still needs keeps its head.
const DELETE: &str = "
    with weeks as (select w from partition_weeks() w), gone as (
        select i.id from items i
        where (i.part < (select min(w) from weeks) or (i.part = '9999-12-31' and i.first_seen_at < now() - make_interval(days => $1)))
        limit $2
    ), unchecked as (
        delete from checks c using gone g where c.item_id = g.id
    )
    delete from items i using gone g where i.id = g.id";

const DOING: &str = "keeping to the retention of texts";

impl Store {
    /// Makes the partitions of the next weeks; returns how many were missing.
    pub async fn make_partitions(&self, weeks_ahead: u16) -> Result<u32, StoreError> {
        let sql = "select make_partitions($1) as made";
        let row = self.row("making partitions", sql, &[(&i32::from(weeks_ahead) as _, Type::INT4)]).await?;
        column::<i32>(&row, "made").map(i32::unsigned_abs)
    }

    /// For how many whole weeks after this one there are partitions.
    pub async fn weeks_ahead(&self) -> Result<u64, StoreError> {
        let sql = "select count(*) as weeks from partition_weeks() w where w > item_week(now())";
        count(&self.row("looking for partitions", sql, &[]).await?, "weeks")
    }

    /// Does one step of retention: texts of items that nobody flagged or labeled expire after `text_days`, kept
    /// ones after `kept_days`. Ask again until it is done; a step that cannot have its locks at once
    /// fails, and is tried again next time.
    pub async fn retention_step(&self, text_days: u16, kept_days: u16) -> Result<RetentionStep, StoreError> {
        if let Some(week) = self.expired_week(text_days).await? {
            let parameters = [(&week as _, Type::DATE), (&STEP as _, Type::INT8)];
            let kept = self.change(DOING, KEEP, &parameters).await?;
            if kept > 0 {
                return Ok(RetentionStep::Kept { items: kept });
            }
            self.rows(DOING, "select drop_week($1)", &[(&week as _, Type::DATE)]).await?;
            return Ok(RetentionStep::Dropped { week });
        }
        let parameters = [(&i32::from(kept_days) as _, Type::INT4), (&STEP as _, Type::INT8)];
        match self.change(DOING, DELETE, &parameters).await? {
            0 => Ok(RetentionStep::Done),
            items => Ok(RetentionStep::Deleted { items }),
        }
    }

    /// The oldest week whose last day is more than `days` ago.
    async fn expired_week(&self, days: u16) -> Result<Option<NaiveDate>, StoreError> {
        let sql = "select min(w) as week from partition_weeks() w
                   where w + 7 < (now() at time zone 'utc')::date - $1::integer and w < item_week(now()) - 7";
        column(&self.row(DOING, sql, &[(&i32::from(days) as _, Type::INT4)]).await?, "week")
    }
}
