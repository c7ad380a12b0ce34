use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::{Judged, macro_f1};

/// How much better the challenger is than the champion, in macro-F1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// On the set as it is.
    pub estimate: f64,
    /// The true difference is above this with the stated confidence.
    pub lower: f64,
    /// And below this with the same.
    pub upper: f64,
}

/// Paired bootstrap: both models are measured on the same resampled texts, so that what makes a text hard
/// for both cancels out (Efron and Tibshirani 1993, percentile interval, one-sided on each side).
pub(crate) fn difference(items: &[&Judged], confidence: f64, resamples: usize, seed: u64) -> Interval {
    let of = |items: &mut dyn Iterator<Item = &Judged>| {
        let pair = macro_f1(items);
        pair.challenger - pair.champion
    };
    let estimate = of(&mut items.iter().copied());
    if items.is_empty() {
        return Interval { estimate, lower: estimate, upper: estimate };
    }
    let mut random = StdRng::seed_from_u64(seed);
    let mut differences: Vec<f64> = (0..resamples.max(1))
        .map(|_| of(&mut (0..items.len()).map(|_| items[random.random_range(0..items.len())])))
        .collect();
    differences.sort_by(f64::total_cmp);
    let at = |share: f64| differences[((differences.len() - 1) as f64 * share).floor() as usize];
    // Rounded down on the one side and up on the other: the interval is never too narrow.
    let upper = ((differences.len() - 1) as f64 * confidence).ceil() as usize;
    Interval { estimate, lower: at(1.0 - confidence), upper: differences[upper] }
}
