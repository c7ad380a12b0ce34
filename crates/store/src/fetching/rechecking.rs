use chrono::{DateTime, Utc};
use modloop_domain::Fullname;

use super::{as_text, fullnames};
use crate::{Store, StoreError};

/// Why an item's text is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScrubReason {
    /// Its author deleted it.
    Deleted,
    /// A moderator or Reddit took it down.
    Removed,
    /// Reddit no longer knows it.
    Absent,
}

impl ScrubReason {
    /// The word used in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Removed => "removed",
            Self::Absent => "absent",
        }
    }
}

pub(crate) const DUE_FOR_CHECK: &str = "
    select fullname from items
    where scrubbed_at is null and checked_at < $2
    order by checked_at
    limit $1";

impl Store {
    /// The database's clock, by which checks are dated.
    pub async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        self.client
            .query_one_scalar("select now()", &[])
            .await
            .map_err(StoreError::query("reading the clock"))
    }

    /// Items that Reddit last showed before that moment, the longest unchecked first.
    pub async fn due_for_check(
        &self,
        limit: u32,
        before: DateTime<Utc>,
    ) -> Result<Vec<Fullname>, StoreError> {
        let doing = "looking for items to check";
        let rows = self
            .client
            .query(DUE_FOR_CHECK, &[&i64::from(limit), &before])
            .await
            .map_err(StoreError::query(doing))?;
        fullnames(&rows, doing)
    }

    /// Notes that items were asked about, where the answer changed nothing.
    pub async fn mark_checked(&self, items: &[Fullname]) -> Result<(), StoreError> {
        self.client
            .execute("update items set checked_at = now() where fullname = any($1)", &[&as_text(items)])
            .await
            .map(|_rows| ())
            .map_err(StoreError::query("noting what was checked"))
    }

    /// Takes text and author of items away for good; their predictions stay, as numbers about nobody.
    /// Returns how many had not been scrubbed before.
    pub async fn scrub(&self, items: &[Fullname], reason: ScrubReason) -> Result<u64, StoreError> {
        self.client
            .execute(
                "update items set author = null, title = null, body = null, content_hash = null,
                     edited_at = null, pending_since = null, queued_at = null, queue_attempts = 0,
                     scrub_reason = $2, scrubbed_at = now(), checked_at = now()
                 where fullname = any($1) and scrubbed_at is null",
                &[&as_text(items), &reason.as_str()],
            )
            .await
            .map_err(StoreError::query("scrubbing items"))
    }
}
