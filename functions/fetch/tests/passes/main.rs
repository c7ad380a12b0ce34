//! Whole passes: from the Reddit stand-in into a real Postgres, with a queue that can be told to fail.

mod fixture;
mod killing;
mod proxy;
mod reading;
mod rechecking;
mod starting;
mod trouble;
