//! What `modloop` prints. A library, so that `cargo xtask up` shows the same.

pub mod assemble;
mod database;
pub mod drift;
pub mod evaluate;
pub mod labels;
pub mod models;
mod output;
pub mod retrain;
pub mod runs;
pub mod score;
mod shipped;
pub mod status;
mod table;
