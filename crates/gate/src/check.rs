use std::fmt;

use serde::{Deserialize, Serialize};

/// On which side of its limit a value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The limit is the least that will do, and does itself.
    AtLeast,
    /// The value must be above the limit.
    Above,
    /// The limit is the most that will do, and does itself.
    AtMost,
}

/// One thing the gate looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What it is, such as `community r/city_talk, macro-F1 difference`.
    pub name: String,
    /// What was found.
    pub value: f64,
    /// What it is held against.
    pub limit: f64,
    /// On which side it has to be.
    pub bound: Bound,
    /// Whether it is.
    pub passed: bool,
}

impl Check {
    /// Holds a value against a limit. What is no number never passes.
    pub fn new(name: impl Into<String>, value: f64, bound: Bound, limit: f64) -> Self {
        // A difference of two shares is off by some 1e-17.
        const ROUNDING: f64 = 1e-12;
        let passed = match bound {
            Bound::AtLeast => value >= limit - ROUNDING,
            Bound::Above => value > limit,
            Bound::AtMost => value <= limit + ROUNDING,
        };
        Self { name: name.into(), value, limit, bound, passed }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.bound {
            Bound::AtLeast => "≥",
            Bound::Above => ">",
            Bound::AtMost => "≤",
        };
        write!(f, "{} {}, needed {sign} {}", self.name, number(self.value), number(self.limit))
    }
}

/// Large numbers whole, small ones with what matters.
pub(crate) fn number(value: f64) -> String {
    if value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{value:.4}") }
}
