use serde::{Deserialize, Serialize};

/// Something that must not grow beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// What was found.
    pub measured: f64,
    /// The most it may be.
    pub limit: f64,
    /// Whether it is no more.
    pub met: bool,
}

impl Target {
    /// Compares.
    pub fn at_most(limit: f64, measured: f64) -> Self {
        Self { measured, limit, met: measured <= limit }
    }
}
