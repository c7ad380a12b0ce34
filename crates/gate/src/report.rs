use std::fmt;

use serde::{Deserialize, Serialize};

use crate::check::number;
use crate::{Bound, Check, Interval, Pair};

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The challenger may be tried.
    Promote,
    /// It may not.
    Refuse,
}

/// The share of all texts that each model flags, estimated from the sample's weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// Of both models.
    pub flagged: Pair<f64>,
}

impl Shift {
    /// How much more the challenger flags.
    pub fn difference(self) -> f64 {
        self.flagged.challenger - self.flagged.champion
    }
}

/// The decision with everything it was made by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    /// What follows.
    pub decision: Decision,
    /// Why, in one sentence.
    pub reason: String,
    /// Texts of the gold set.
    pub items: usize,
    /// On all of them.
    pub macro_f1: Pair<f64>,
    /// The challenger's macro-F1 minus the champion's.
    pub difference: Interval,
    /// The same on the communities that drifted, where there are any.
    pub drifted: Option<Interval>,
    /// Of the intervals.
    pub confidence: f64,
    /// How often the gold set was resampled.
    pub resamples: usize,
    /// Repeats the resampling.
    pub seed: u64,
    /// What the trial should see.
    pub shift: Shift,
    /// Each thing that was looked at.
    pub checks: Vec<Check>,
}

/// A table for people.
impl fmt::Display for GateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decision = match self.decision {
            Decision::Promote => "promote",
            Decision::Refuse => "refuse",
        };
        writeln!(f, "{decision}: {}", self.reason)?;
        let width = self.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
        for check in &self.checks {
            let (word, sign) = (
                if check.passed { "ok" } else { "NO" },
                match check.bound {
                    Bound::AtLeast => "≥",
                    Bound::Above => ">",
                    Bound::AtMost => "≤",
                },
            );
            let (value, limit) = (number(check.value), number(check.limit));
            writeln!(f, "  {word}  {:<width$}  {value:>12}  {sign} {limit:>12}", check.name)?;
        }
        Ok(())
    }
}
