//! The store against a real Postgres, a throw-away database for each test.

mod connecting;
mod fetching;
mod migrating;
mod models;
mod monitoring;
mod retraining;
mod scoring;
mod status;
