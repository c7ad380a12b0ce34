use std::fmt;

use serde::{Deserialize, Serialize};

/// A calibrated probability, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct Probability(f32);

/// Why a number is no [`Probability`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0} is no probability: expected a number from 0 to 1")]
pub struct ProbabilityError(f32);

impl Probability {
    /// Refuses numbers outside 0 to 1, and NaN.
    pub fn new(value: f32) -> Result<Self, ProbabilityError> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(ProbabilityError(value)) }
    }

    /// The number.
    pub fn get(self) -> f32 {
        self.0
    }
}

impl TryFrom<f32> for Probability {
    type Error = ProbabilityError;

    fn try_from(value: f32) -> Result<Self, Self::Error> {
        Self::new(value)
    }
}

impl From<Probability> for f32 {
    fn from(p: Probability) -> Self {
        p.0
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_from_zero_to_one() {
        assert!(Probability::new(0.0).is_ok() && Probability::new(1.0).is_ok());
        for bad in [-0.1, 1.1, f32::NAN, f32::INFINITY] {
            assert!(Probability::new(bad).is_err(), "{bad}");
        }
    }
}
