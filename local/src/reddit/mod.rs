//! The Reddit stand-in: a server on this machine that speaks like Reddit about three made-up communities.
//!
//! Without credentials for Reddit the whole loop runs against it. It asks for the same tokens, pages the
//! same listings, sends the same rate-limit headers and is as awkward about its items; [`Faults`] make it
//! as unreliable as Reddit on a bad day. [`StandIn::start`] gives a [`Handle`], with which a harness posts, edits
//! and deletes items and counts what must have arrived.
//!
//! The feed has a second part, in which the language of r/city_talk shifts ([`Language::Shifted`]): two of five
//! items insult a made-up group in code that a classifier has never seen. [`FeedItem::intent`] tells what an
//! item is, and [`applies`] which labels belong to a text.

mod community;
mod faults;
mod feed;
mod grammar;
mod json;
mod oddities;
mod server;
mod standin;
mod stats;
mod truth;
mod world;

pub use community::{Intent, Language};
pub use faults::Faults;
pub use feed::{Feed, FeedItem};
pub use server::{CLIENT_ID, CLIENT_SECRET};
pub use standin::{Arrival, Expected, Handle, Options, StandIn};
pub use stats::Stats;
pub use truth::applies;
pub use world::PostsByTheClock;
