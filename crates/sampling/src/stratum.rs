use std::fmt;

use modloop_domain::Community;

/// Half the width of the band in which a model is unsure, around each threshold.
const UNSURE: f32 = 0.15;

/// Where a score lies between the thresholds of a community.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Band {
    /// Clearly below the review threshold.
    Clear,
    /// Around the review threshold.
    NearReview,
    /// Between the thresholds.
    Flagged,
    /// Around the remove threshold or above it.
    NearRemove,
}

impl Band {
    /// The band of a top score.
    pub fn of(score: f32, review: f32, remove: f32) -> Self {
        if score < review - UNSURE {
            Band::Clear
        } else if score < review + UNSURE && score < remove {
            Band::NearReview
        } else if score < remove - UNSURE / 3.0 {
            Band::Flagged
        } else {
            Band::NearRemove
        }
    }

    /// How much more an item of this band is worth than a clear one.
    pub fn importance(self) -> f64 {
        match self {
            Band::Clear => 1.0,
            Band::Flagged | Band::NearRemove => 1.5,
            Band::NearReview => 2.0,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Band::Clear => "clear",
            Band::NearReview => "near-review",
            Band::Flagged => "flagged",
            Band::NearRemove => "near-remove",
        }
    }
}

/// Items that are sampled alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stratum {
    /// Where they were posted.
    pub community: Community,
    /// How they were scored.
    pub band: Band,
}

impl fmt::Display for Stratum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.community, self.band.as_str())
    }
}
