//! The LLM stand-in: a server on this machine that speaks like OpenAI's chat endpoint and labels by a given rule.
//!
//! It checks the key, honours JSON schemas and token limits, counts tokens as they would be billed, and is as gullible
//! as a bad model: what reaches it outside the data field it takes as an order. [`Faults`] make it as unreliable as an
//! endpoint on a bad day, [`Handle::break_next`] breaks single answers, [`Handle::answer_wrongly`] turns every answer round.

mod faults;
mod judge;
mod model;
mod schema;
mod server;
mod standin;
mod stats;

pub use faults::{Fault, Faults};
pub use judge::{Judge, feed_judge, lexicon};
pub use server::{API_KEY, MODEL};
pub use standin::{Handle, Options, StandIn};
pub use stats::Stats;
