//! Postgres: what Modloop remembers.
//!
//! A [`Store`] is one connection with one method for each thing the functions ask; a [`Database`] keeps
//! one across invocations and reconnects when Postgres was restarted. [`migrate`] brings the schema up
//! to date; [`Store::connect`] refuses a schema that is older than this code.

mod connection;
mod database;
mod error;
mod fetching;
mod migrate;
mod monitoring;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;

pub use connection::Store;
pub use database::{Database, Session};
pub use error::StoreError;
pub use migrate::{MigrationReport, migrate};
pub use settings::{Credentials, DatabaseSettings, SettingsError};
