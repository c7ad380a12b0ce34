//! What `modloop` prints. A library, so that `cargo xtask up` shows the same.

pub mod assemble;
pub mod drift;
pub mod evaluate;
pub mod score;
mod shipped;
pub mod status;
