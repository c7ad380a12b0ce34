//! The store against a real Postgres, a throw-away database for each test.

mod connecting;
mod drift;
mod items;
mod migrating;
mod models;
mod partitions;
mod predictions;
mod retraining;
mod settings;
mod status;
