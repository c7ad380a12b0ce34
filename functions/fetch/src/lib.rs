//! Fetch: one pass over every enabled subreddit, from Reddit into Postgres and the score queue.
//!
//! The order of side effects is what keeps it safe: a page is stored, then the place in the listing is
//! saved, then its items are queued, then that is noted. Killed between any two of these, the next pass
//! reads the page again, or finds items that wait and were never queued.

mod context;
mod error;
mod handler;
mod listing;
mod pass;
mod queue;
mod recheck;
mod report;

pub use context::{Context, Limits, start};
pub use error::FetchError;
pub use handler::{deadline, handle};
pub use queue::Queue;
pub use report::{BadItemReport, CommunityReport, Reading, Report};
