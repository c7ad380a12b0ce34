//! Reddit as Modloop reads it: pages of new posts and comments, and what became of known items.
//!
//! [`RedditClient`] is the way in. It keeps within the rate budget, retries what a retry can help, and
//! never works past the [`Deadline`] it is given.

mod answer;
mod budget;
mod client;
mod deadline;
mod error;
mod fullname;
mod item;
mod listing;
mod retry;
mod settings;
mod subreddit;
mod token;
mod transport;

pub use client::{INFO_LIMIT, Info, Page, RedditClient};
pub use deadline::Deadline;
pub use error::{RedditError, SubredditProblem};
pub use fullname::{Fullname, FullnameError};
pub use item::{BadItem, Gone, ItemState, Sighting};
pub use retry::Retries;
pub use settings::{RedditCredentials, RedditSettings};
pub use subreddit::{SubredditName, SubredditNameError};
