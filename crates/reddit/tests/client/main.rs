//! The client over real sockets: against answers made up to be difficult, and recorded ones.

mod recorded;
mod scripted;
mod transport;
