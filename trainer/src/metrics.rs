//! Measures of a binary score. Pure.

use serde::Serialize;

/// A score and whether the text truly has the label.
pub type Scored = (f32, bool);

/// Outcomes at one threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Confusion {
    true_positive: usize,
    false_positive: usize,
    true_negative: usize,
    false_negative: usize,
}

/// How well a threshold tells the classes apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AtThreshold {
    /// A score at or above it means "has the label".
    pub threshold: f32,
    /// F1 of the positive class.
    pub f1: f64,
    /// Mean of the F1 of both classes.
    pub macro_f1: f64,
}

impl Confusion {
    fn at(scored: &[Scored], threshold: f32) -> Self {
        let mut counts = Self::default();
        for &(score, truth) in scored {
            match (score >= threshold, truth) {
                (true, true) => counts.true_positive += 1,
                (true, false) => counts.false_positive += 1,
                (false, false) => counts.true_negative += 1,
                (false, true) => counts.false_negative += 1,
            }
        }
        counts
    }

    fn measured(self, threshold: f32) -> AtThreshold {
        let wrong = self.false_positive + self.false_negative;
        let f1 = |right: usize| match 2 * right + wrong {
            0 => 0.0,
            all => 2.0 * right as f64 / all as f64,
        };
        let positive = f1(self.true_positive);
        AtThreshold { threshold, f1: positive, macro_f1: (positive + f1(self.true_negative)) / 2.0 }
    }
}

/// F1 and macro-F1 at `threshold`.
pub fn at_threshold(scored: &[Scored], threshold: f32) -> AtThreshold {
    Confusion::at(scored, threshold).measured(threshold)
}

/// The score that gives the highest macro-F1 as threshold; 0.5 unless one is better than that.
pub fn best_threshold(scored: &[Scored]) -> AtThreshold {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = sorted.iter().filter(|s| s.1).count();
    // At the lowest score everything counts as positive; each score passed turns negative.
    let mut counts = Confusion {
        true_positive: positives,
        false_positive: sorted.len() - positives,
        ..Confusion::default()
    };
    let mut best = at_threshold(scored, 0.5);
    for (index, &(score, truth)) in sorted.iter().enumerate() {
        if index == 0 || sorted[index - 1].0 != score {
            let here = counts.measured(score);
            if here.macro_f1 > best.macro_f1 {
                best = here;
            }
        }
        if truth {
            counts.true_positive -= 1;
            counts.false_negative += 1;
        } else {
            counts.false_positive -= 1;
            counts.true_negative += 1;
        }
    }
    best
}

/// Area under the ROC curve: the chance that a positive scores above a negative, ties counting half
/// (Mann–Whitney U). `None` when a class is missing.
pub fn auroc(scored: &[Scored]) -> Option<f64> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut wins, mut negatives_below) = (0.0, 0usize);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let positives = tied.iter().filter(|s| s.1).count();
        let negatives = tied.len() - positives;
        wins += positives as f64 * (negatives_below as f64 + negatives as f64 / 2.0);
        negatives_below += negatives;
    }
    let pairs = negatives_below * (sorted.len() - negatives_below);
    if pairs == 0 { None } else { Some(wins / pairs as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SCORED: [Scored; 6] =
        [(0.1, false), (0.2, false), (0.3, true), (0.35, false), (0.4, true), (0.9, true)];

    #[test]
    fn known_values() {
        // Positive: 1 found, 2 missed. Negative: 3 found, 2 wrongly.
        let half = at_threshold(&SCORED, 0.5);
        assert!((half.f1 - 0.5).abs() < 1e-12);
        assert!((half.macro_f1 - (0.5 + 0.75) / 2.0).abs() < 1e-12);
        assert_eq!(best_threshold(&SCORED).threshold, 0.3);
        assert!((auroc(&SCORED).expect("both classes") - 8.0 / 9.0).abs() < 1e-12);
        assert_eq!(auroc(&[(0.5, true)]), None);
        assert_eq!(auroc(&[(0.5, true), (0.5, false)]), Some(0.5));
    }

    proptest! {
        #[test]
        fn no_score_is_a_better_threshold_than_the_best(
            scored in proptest::collection::vec((0u8..20, any::<bool>()), 0..60),
        ) {
            let scored: Vec<Scored> = scored.into_iter().map(|(s, t)| (f32::from(s) / 20.0, t)).collect();
            let best = best_threshold(&scored);
            for threshold in scored.iter().map(|s| s.0).chain([0.5]) {
                prop_assert!(best.macro_f1 >= at_threshold(&scored, threshold).macro_f1);
            }
            prop_assert_eq!(best, at_threshold(&scored, best.threshold));
        }
    }
}
