//! Postgres: what Modloop stores.
//!
//! A [`Store`] is one connection; what it can be asked lies in one module for each subject. A [`Database`]
//! keeps a connection across invocations and connects again when it was lost. [`migrate`] brings the schema
//! up to date; [`Store::connect`] refuses a schema that is older than this code.

mod access;
pub mod audit;
pub mod budget;
pub mod communities;
mod connection;
mod database;
pub mod decisions;
pub mod drift;
mod error;
pub mod items;
pub mod labels;
pub mod leases;
mod migrate;
pub mod models;
pub mod partitions;
pub mod permissions;
#[cfg(test)]
mod plans;
pub mod predictions;
pub mod queue;
mod row;
pub mod runs;
pub mod settings;
pub mod status;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;

pub use access::{Credentials, DatabaseSettings, SettingsError};
pub use connection::Store;
pub use database::{Database, Session};
pub use error::StoreError;
pub use migrate::{MigrationReport, migrate};
