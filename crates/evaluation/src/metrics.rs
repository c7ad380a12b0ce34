//! How good scores are. Pure; the literature's definitions.

use serde::{Deserialize, Serialize};

use crate::curves::bin_of;

/// A calibrated score and whether the label is truly there.
pub type Judged = (f32, bool);

/// Measures of one label on one set of texts. Shares without a denominator are null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Texts that are annotated for the label.
    pub items: usize,
    /// Share of them that have it: every other number is to be read beside this one.
    pub prevalence: Option<f64>,
    /// Of the texts at or above the threshold, the share that has the label.
    pub precision: Option<f64>,
    /// Of the texts that have the label, the share at or above the threshold.
    pub recall: Option<f64>,
    /// Harmonic mean of the two.
    pub f1: Option<f64>,
    /// Mean of the F1 of having the label and of not having it; null where all texts are of one class,
    /// because it would say no more than the other measures do.
    pub macro_f1: Option<f64>,
    /// Chance that a text with the label scores above one without.
    pub auroc: Option<f64>,
    /// Average precision over all thresholds.
    pub auprc: Option<f64>,
    /// Mean distance of score and share of positives over [`ECE_BINS`] bins.
    pub calibration_error: Option<f64>,
}

/// Bins of the expected calibration error (Naeini, Cooper and Hauskrecht 2015).
pub const ECE_BINS: usize = 15;

/// All measures at once, decisions made at `threshold`.
pub fn measure(judged: &[Judged], threshold: f32) -> Measures {
    let confusion = Confusion::at(judged, threshold);
    let positives = judged.iter().filter(|(_, truth)| *truth).count();
    Measures {
        items: judged.len(),
        prevalence: ratio(positives, judged.len()),
        precision: confusion.precision(),
        recall: confusion.recall(),
        f1: confusion.f1(),
        macro_f1: confusion.macro_f1(),
        auroc: auroc(judged),
        auprc: average_precision(judged),
        calibration_error: expected_calibration_error(judged),
    }
}

/// What became of the texts at one threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Has the label and was found.
    pub true_positives: usize,
    /// Has it not but was found.
    pub false_positives: usize,
    /// Has it but was missed.
    pub false_negatives: usize,
    /// Has it not and was left alone.
    pub true_negatives: usize,
}

impl Confusion {
    /// A score on the threshold counts as found.
    pub fn at(judged: &[Judged], threshold: f32) -> Self {
        let count = |found: bool, has: bool| {
            judged.iter().filter(|(score, truth)| (*score >= threshold) == found && *truth == has).count()
        };
        Self {
            true_positives: count(true, true),
            false_positives: count(true, false),
            false_negatives: count(false, true),
            true_negatives: count(false, false),
        }
    }

    /// The same with the absence of the label as what is looked for.
    pub fn reversed(self) -> Self {
        Self {
            true_positives: self.true_negatives,
            false_positives: self.false_negatives,
            false_negatives: self.false_positives,
            true_negatives: self.true_positives,
        }
    }

    /// See [`Measures::precision`].
    pub fn precision(self) -> Option<f64> {
        ratio(self.true_positives, self.true_positives + self.false_positives)
    }

    /// See [`Measures::recall`].
    pub fn recall(self) -> Option<f64> {
        ratio(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// See [`Measures::f1`].
    pub fn f1(self) -> Option<f64> {
        let errors = self.false_positives + self.false_negatives;
        ratio(2 * self.true_positives, 2 * self.true_positives + errors)
    }

    /// See [`Measures::macro_f1`].
    pub fn macro_f1(self) -> Option<f64> {
        let positives = self.true_positives + self.false_negatives;
        let negatives = self.true_negatives + self.false_positives;
        let both = positives > 0 && negatives > 0;
        self.f1().zip(self.reversed().f1()).filter(|_| both).map(|(a, b)| (a + b) / 2.0)
    }

    /// Share of the texts that were found.
    pub fn flagged(self) -> Option<f64> {
        let found = self.true_positives + self.false_positives;
        ratio(found, found + self.true_negatives + self.false_negatives)
    }
}

pub(crate) fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Area under the ROC curve as the Mann–Whitney statistic; ties count half.
pub fn auroc(judged: &[Judged]) -> Option<f64> {
    let positives = judged.iter().filter(|(_, truth)| *truth).count();
    let negatives = judged.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let mut below = 0;
    let mut wins = 0.0;
    for tied in ascending_ties(judged) {
        let tied_positives = tied.iter().filter(|(_, truth)| *truth).count();
        let tied_negatives = tied.len() - tied_positives;
        wins += tied_positives as f64 * (below as f64 + tied_negatives as f64 / 2.0);
        below += tied_negatives;
    }
    Some(wins / (positives as f64 * negatives as f64))
}

/// Average precision: the sum over thresholds of precision times the recall gained.
pub fn average_precision(judged: &[Judged]) -> Option<f64> {
    let positives = judged.iter().filter(|(_, truth)| *truth).count();
    if positives == 0 {
        return None;
    }
    let (mut found, mut hits, mut area) = (0, 0, 0.0);
    for tied in ascending_ties(judged).into_iter().rev() {
        let gained = tied.iter().filter(|(_, truth)| *truth).count();
        found += tied.len();
        hits += gained;
        area += gained as f64 * hits as f64 / found as f64;
    }
    Some(area / positives as f64)
}

/// Groups of equal scores, lowest first.
fn ascending_ties(judged: &[Judged]) -> Vec<Vec<Judged>> {
    let mut sorted = judged.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    sorted.chunk_by(|a, b| a.0 == b.0).map(<[Judged]>::to_vec).collect()
}

/// Expected calibration error over equally wide bins, weighted by their texts.
pub fn expected_calibration_error(judged: &[Judged]) -> Option<f64> {
    let mut bins = [(0.0, 0.0); ECE_BINS];
    for (score, truth) in judged {
        let bin = bin_of(*score);
        bins[bin].0 += f64::from(*score);
        bins[bin].1 += f64::from(u8::from(*truth));
    }
    let gap: f64 = bins.iter().map(|(scores, positives)| (scores - positives).abs()).sum();
    (!judged.is_empty()).then(|| gap / judged.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: [Judged; 4] = [(0.1, false), (0.4, false), (0.35, true), (0.8, true)];

    fn close(found: Option<f64>, expected: f64) {
        let found = found.expect("a number");
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn known_values() {
        // The example in scikit-learn's documentation of both functions.
        close(auroc(&KNOWN), 0.75);
        close(average_precision(&KNOWN), 0.833_333_333);
        let measured = measure(&KNOWN, 0.4);
        close(measured.precision, 0.5);
        close(measured.recall, 0.5);
        close(measured.macro_f1, 0.5);
        close(measured.prevalence, 0.5);
        // Each text lies in a bin of its own.
        close(measured.calibration_error, (0.1 + 0.4 + 0.65 + 0.2) / 4.0);
    }

    #[test]
    fn average_precision_by_hand() {
        // From the top: yes (1 of 1), no, yes (2 of 3), yes (3 of 4), no.
        let ranked = [(0.9, true), (0.8, false), (0.7, true), (0.6, true), (0.1, false)];
        close(average_precision(&ranked), (1.0 + 2.0 / 3.0 + 3.0 / 4.0) / 3.0);
        // Who ranks at random finds the prevalence.
        close(average_precision(&[(0.5, true), (0.5, false), (0.5, false), (0.5, false)]), 0.25);
    }

    #[test]
    fn ties_count_half() {
        close(auroc(&[(0.5, true), (0.5, false)]), 0.5);
        close(average_precision(&[(0.5, true), (0.5, false)]), 0.5);
    }

    #[test]
    fn what_has_no_denominator_has_no_value() {
        let empty = measure(&[], 0.5);
        assert_eq!(
            (empty.prevalence, empty.f1, empty.auroc, empty.calibration_error),
            (None, None, None, None)
        );
        assert_eq!(measure(&[(0.2, false)], 0.5).precision, None);
        assert_eq!(measure(&[(0.2, false), (0.9, false)], 0.5).macro_f1, None);
        assert_eq!(auroc(&[(0.2, true)]), None);
    }

    fn judged() -> impl Strategy<Value = Vec<Judged>> {
        // Few distinct scores, so that ties are common.
        proptest::collection::vec(((0u8..=20).prop_map(|s| f32::from(s) / 20.0), any::<bool>()), 2..60)
    }

    proptest! {
        #[test]
        fn ranking_measures_only_look_at_the_order(judged in judged()) {
            let squeezed: Vec<Judged> = judged.iter().map(|(s, t)| (s * s * 0.5 + 0.1, *t)).collect();
            prop_assert_eq!(auroc(&judged), auroc(&squeezed));
            prop_assert_eq!(average_precision(&judged), average_precision(&squeezed));
        }

        #[test]
        fn turning_scores_and_truth_round_changes_no_auroc(judged in judged()) {
            let turned: Vec<Judged> = judged.iter().map(|(s, t)| (-s, !t)).collect();
            let (there, back) = (auroc(&judged), auroc(&turned));
            prop_assert_eq!(there.is_some(), back.is_some());
            prop_assert!((there.unwrap_or(0.0) - back.unwrap_or(0.0)).abs() < 1e-12);
        }

        #[test]
        fn every_share_is_a_share(judged in judged(), threshold in 0f32..=1.0) {
            let m = measure(&judged, threshold);
            let all = [m.prevalence, m.precision, m.recall, m.f1, m.macro_f1, m.auroc, m.auprc, m.calibration_error];
            for share in all.into_iter().flatten() {
                prop_assert!((0.0..=1.0 + 1e-9).contains(&share), "{}", share);
            }
        }
    }
}
