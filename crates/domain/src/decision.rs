use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Probability;

/// What Modloop would do with an item, from mildest to strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Leave it.
    Allow,
    /// A moderator should look.
    Review,
    /// Take it down.
    Remove,
}

impl Decision {
    /// All decisions, mildest first.
    pub const ALL: [Decision; 3] = [Decision::Allow, Decision::Review, Decision::Remove];

    /// The lower-case word used in the database and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Allow => "allow",
            Decision::Review => "review",
            Decision::Remove => "remove",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Decision {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Decision::ALL
            .into_iter()
            .find(|d| d.as_str() == word)
            .ok_or_else(|| format!("{word:?} is not a decision: expected allow, review or remove"))
    }
}

/// From which score on an item is reviewed, and from which removed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Pair")]
pub struct Thresholds {
    review: Probability,
    remove: Probability,
}

/// [`Thresholds`] as stored, before they are checked.
#[derive(Deserialize)]
struct Pair {
    review: Probability,
    remove: Probability,
}

impl TryFrom<Pair> for Thresholds {
    type Error = ThresholdsError;

    fn try_from(pair: Pair) -> Result<Self, Self::Error> {
        Self::new(pair.review, pair.remove)
    }
}

/// Why two numbers are not [`Thresholds`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "the review threshold {review} is above the remove threshold {remove}; lower the first or raise the second"
)]
pub struct ThresholdsError {
    review: Probability,
    remove: Probability,
}

impl Thresholds {
    /// Refuses a review threshold above the remove threshold.
    pub fn new(review: Probability, remove: Probability) -> Result<Self, ThresholdsError> {
        if review <= remove { Ok(Self { review, remove }) } else { Err(ThresholdsError { review, remove }) }
    }

    /// From here on a moderator looks.
    pub fn review(self) -> Probability {
        self.review
    }

    /// From here on it is taken down.
    pub fn remove(self) -> Probability {
        self.remove
    }

    /// Decides by the highest score of an item over all labels.
    pub fn decide(self, top: Probability) -> Decision {
        if top >= self.remove {
            Decision::Remove
        } else if top >= self.review {
            Decision::Review
        } else {
            Decision::Allow
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn p(value: f32) -> Probability {
        Probability::new(value).expect("a probability")
    }

    #[test]
    fn a_score_on_the_threshold_counts() {
        let thresholds = Thresholds::new(p(0.5), p(0.95)).expect("in order");
        assert_eq!(thresholds.decide(p(0.49)), Decision::Allow);
        assert_eq!(thresholds.decide(p(0.5)), Decision::Review);
        assert_eq!(thresholds.decide(p(0.95)), Decision::Remove);
    }

    proptest! {
        #[test]
        fn a_higher_score_is_never_judged_milder(a in 0f32..=1.0, b in 0f32..=1.0, r in 0f32..=1.0, x in 0f32..=1.0) {
            let thresholds = Thresholds::new(p(r.min(x)), p(r.max(x))).expect("in order");
            prop_assert!(thresholds.decide(p(a.min(b))) <= thresholds.decide(p(a.max(b))));
        }
    }
}
