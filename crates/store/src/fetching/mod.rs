//! What fetch asks of the store: how far each listing was read, the items, what is due.
//!
//! Every method is one statement and may be repeated, so that a fetch that was killed anywhere is
//! followed by one that finishes its work.

mod feeds;
mod items;
mod queueing;
mod rechecking;

pub use feeds::{Feed, Gap, Mark};
pub use items::Stored;
pub use queueing::STUCK_AFTER;
pub use rechecking::ScrubReason;

use modloop_domain::Fullname;
use tokio_postgres::Row;

use crate::StoreError;

#[cfg(test)]
pub(crate) use items::STORE;
#[cfg(test)]
pub(crate) use queueing::DUE_AGAIN;
#[cfg(test)]
pub(crate) use rechecking::DUE_FOR_CHECK;

fn as_text(names: &[Fullname]) -> Vec<&str> {
    names.iter().map(Fullname::as_str).collect()
}

/// The fullnames in a column of that name.
fn fullnames(rows: &[Row], doing: &'static str) -> Result<Vec<Fullname>, StoreError> {
    rows.iter().map(|row| fullname(row.try_get("fullname").map_err(StoreError::query(doing))?)).collect()
}

fn fullname(text: &str) -> Result<Fullname, StoreError> {
    text.parse().map_err(|e| StoreError::corrupt(format!("a name that is none of Reddit's: {e}")))
}
