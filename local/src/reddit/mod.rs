//! The Reddit stand-in: a server on this machine that speaks like Reddit about three made-up communities.
//!
//! Without credentials for Reddit the whole loop runs against it. It asks for the same tokens, pages the
//! same listings, sends the same rate-limit headers and is as awkward about its items; [`Faults`] make it
//! as unreliable as Reddit on a bad day. [`StandIn::start`] gives a [`Handle`], with which a harness edits
//! and deletes items and counts what must have arrived.

mod community;
mod faults;
mod feed;
mod grammar;
mod json;
mod oddities;
mod server;
mod standin;
mod stats;
mod world;

pub use faults::Faults;
pub use feed::{Feed, FeedItem};
pub use server::{CLIENT_ID, CLIENT_SECRET};
pub use standin::{Arrival, Expected, Handle, Options, StandIn};
pub use stats::Stats;
