use std::time::Duration;

use modloop_domain::Fullname;

use super::{as_text, fullnames};
use crate::{Store, StoreError};

/// An item queued this often without a score is stuck: it is still queued again, but once a day.
pub const STUCK_AFTER: i32 = 5;

/// The wait doubles with every attempt, since what failed once often fails again.
pub(crate) const DUE_AGAIN: &str = "
    select fullname from items
    where pending_since is not null and (queued_at is null or queued_at <= now() - case
        when queue_attempts >= $3 then interval '1 day'
        else make_interval(secs => $2 * power(2, greatest(queue_attempts, 1) - 1)) end)
    order by queued_at nulls first, pending_since
    limit $1";

impl Store {
    /// Notes that items were put into the queue.
    pub async fn mark_queued(&self, items: &[Fullname]) -> Result<(), StoreError> {
        self.client
            .execute(
                "update items set queued_at = now(), queue_attempts = queue_attempts + 1
                 where fullname = any($1) and pending_since is not null",
                &[&as_text(items)],
            )
            .await
            .map(|_rows| ())
            .map_err(StoreError::query("noting what was queued"))
    }

    /// Items that wait for scores and are not in the queue, or were put there and came to nothing: never
    /// queued first, then the longest waiting. `wait` is how long one message may take to be scored; it
    /// doubles with each attempt, up to [`STUCK_AFTER`].
    pub async fn due_again(&self, limit: u32, wait: Duration) -> Result<Vec<Fullname>, StoreError> {
        let doing = "looking for items to queue again";
        let rows = self
            .client
            .query(DUE_AGAIN, &[&i64::from(limit), &wait.as_secs_f64(), &STUCK_AFTER])
            .await
            .map_err(StoreError::query(doing))?;
        fullnames(&rows, doing)
    }
}
