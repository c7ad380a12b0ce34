//! What `modloop` prints. A library, so that `cargo xtask up` shows the same.

pub mod assemble;
pub mod audit;
pub mod communities;
mod database;
pub mod doctor;
pub mod drift;
pub mod evaluate;
pub mod flagged;
pub mod forget;
pub mod labels;
pub mod models;
mod output;
pub mod permission;
pub mod retrain;
pub mod runs;
pub mod score;
pub mod settings;
mod shipped;
pub mod status;
mod table;
