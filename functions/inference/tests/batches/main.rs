//! Whole batches against a real Postgres, with a model that does what each test needs.

mod answers;
mod fixture;
mod hostile;
mod logs;
mod scoring;
mod starting;
mod switching;
mod trials;
mod trouble;
