//! How good a model is: measured where labels exist, and estimated from calibrated scores where none do.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal};

use crate::Sample;

/// A number that was estimated from a sample, with the variance that the sampling gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Square of its standard error.
    pub variance: f64,
}

/// Confidence-based performance estimation (CBPE, as NannyML defines it): a text with calibrated score p is a
/// true case with probability p, so the expected confusion matrix needs no labels. A score on the
/// threshold counts as predicted.
///
/// True positives are expected to be Σ p over predicted texts, false positives Σ (1 - p) over them, false
/// negatives Σ p over the others.
#[derive(Debug, Clone, Copy)]
pub struct Cbpe<'a> {
    scores: &'a Sample,
    threshold: f64,
}

impl<'a> Cbpe<'a> {
    /// Calibrated scores, and from which score on a text is predicted to be a case.
    pub fn new(scores: &'a Sample, threshold: f64) -> Self {
        Self { scores, threshold }
    }

    /// Expected true positives among predicted. `None` when nothing is predicted.
    pub fn precision(self) -> Option<Estimate> {
        self.ratio(|p, predicted| p * predicted, |_, predicted| predicted)
    }

    /// Expected true positives among true cases. `None` when no case is expected.
    pub fn recall(self) -> Option<Estimate> {
        self.ratio(|p, predicted| p * predicted, |p, _| p)
    }

    /// 2·TP / (2·TP + FP + FN), expected. `None` when nothing is predicted and no case is expected.
    pub fn f1(self) -> Option<Estimate> {
        self.ratio(|p, predicted| 2.0 * p * predicted, |p, predicted| p + predicted)
    }

    /// Σ above / Σ below, with the variance of a ratio of means (delta method).
    fn ratio(self, above: impl Fn(f64, f64) -> f64, below: impl Fn(f64, f64) -> f64) -> Option<Estimate> {
        let terms = || {
            self.scores.points().iter().map(|(p, count)| {
                let predicted = if *p >= self.threshold { 1.0 } else { 0.0 };
                (above(*p, predicted), below(*p, predicted), *count as f64)
            })
        };
        let numerator: f64 = terms().map(|(a, _, count)| a * count).sum();
        let denominator: f64 = terms().map(|(_, b, count)| b * count).sum();
        let value = numerator / denominator;
        let squares: f64 = terms().map(|(a, b, count)| (a - value * b).powi(2) * count).sum();
        (denominator > 0.0).then_some(Estimate { value, variance: squares / denominator.powi(2) })
    }
}

impl Estimate {
    /// p value of a fall from `reference` to this, one-sided.
    pub fn fall_p(self, reference: Estimate) -> f64 {
        let error = (self.variance + reference.variance).sqrt();
        let fall = reference.value - self.value;
        if error == 0.0 {
            return if fall > 0.0 { 0.0 } else { 1.0 };
        }
        Normal::standard().sf(fall / error)
    }
}

/// What people or an LLM said about texts that were scored, counted against the prediction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Predicted and true.
    pub true_positives: u64,
    /// Predicted and not true.
    pub false_positives: u64,
    /// True and not predicted.
    pub false_negatives: u64,
    /// Neither.
    pub true_negatives: u64,
}

impl Outcomes {
    /// Labeled texts.
    pub fn items(self) -> u64 {
        self.true_positives + self.false_positives + self.false_negatives + self.true_negatives
    }

    /// True among predicted. `None` when nothing was predicted.
    pub fn precision(self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_positives)
    }

    /// 2·TP / (2·TP + FP + FN). `None` when nothing was predicted and nothing true.
    pub fn f1(self) -> Option<f64> {
        let hits = 2 * self.true_positives;
        share(hits, hits + self.false_positives + self.false_negatives)
    }

    /// p value of a precision this low where `expected` is the true one (binomial, one-sided).
    pub fn precision_fall_p(self, expected: f64) -> f64 {
        at_most(self.true_positives, self.true_positives + self.false_positives, expected)
    }

    /// p value of an F1 this low where `expected` is the true one. F1 grows with the share of hits among texts
    /// that were predicted or true, J = F1 / (2 - F1), and that share is binomial.
    pub fn f1_fall_p(self, expected: f64) -> f64 {
        let either = self.true_positives + self.false_positives + self.false_negatives;
        at_most(self.true_positives, either, expected / (2.0 - expected))
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn at_most(successes: u64, trials: u64, probability: f64) -> f64 {
    Binomial::new(probability.clamp(0.0, 1.0), trials).map_or(1.0, |binomial| binomial.cdf(successes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<f64>, expected: f64) {
        assert!(found.is_some_and(|value| (value - expected).abs() < 1e-5), "{found:?} {expected}");
    }

    #[test]
    fn performance_is_estimated_as_nannyml_does() {
        let scores = Sample::of([0.95, 0.8, 0.6, 0.4, 0.3, 0.1, 0.05]).expect("scores");
        let cbpe = Cbpe::new(&scores, 0.5);
        close(cbpe.precision().map(|e| e.value), 0.78333);
        close(cbpe.recall().map(|e| e.value), 0.734375);
        close(cbpe.f1().map(|e| e.value), 0.758065);
    }

    #[test]
    fn nothing_predicted_has_no_precision() {
        let scores = Sample::of([0.1, 0.2]).expect("scores");
        let cbpe = Cbpe::new(&scores, 0.5);
        assert_eq!(cbpe.precision(), None);
        close(cbpe.recall().map(|e| e.value), 0.0);
        let nothing = Sample::of([0.0, 0.0]).expect("scores");
        assert_eq!(Cbpe::new(&nothing, 0.5).f1(), None);
    }

    #[test]
    fn a_fall_is_judged_by_how_much_was_seen() {
        let scores = |high: f64, low: f64, n| Sample::weighted([(high, n), (low, 9 * n)]).expect("scores");
        let before = scores(0.9, 0.02, 1000);
        let few = scores(0.6, 0.05, 2);
        let many = scores(0.6, 0.05, 1000);
        let p = |current: &Sample| {
            let now = Cbpe::new(current, 0.5).f1().expect("predictions");
            now.fall_p(Cbpe::new(&before, 0.5).f1().expect("predictions"))
        };
        assert!(p(&many) < 1e-6 && p(&many) < p(&few), "{} {}", p(&many), p(&few));
        assert!(p(&before) > 0.4);
    }

    #[test]
    fn measured_performance_counts_outcomes() {
        let seen =
            Outcomes { true_positives: 30, false_positives: 10, false_negatives: 20, true_negatives: 40 };
        assert_eq!((seen.items(), seen.precision(), seen.f1()), (100, Some(0.75), Some(60.0 / 90.0)));
        assert!(seen.precision_fall_p(0.95) < 0.001 && seen.precision_fall_p(0.75) > 0.4);
        assert!(seen.f1_fall_p(0.9) < 0.001 && seen.f1_fall_p(2.0 / 3.0) > 0.4);
        assert_eq!((Outcomes::default().precision(), Outcomes::default().f1()), (None, None));
    }
}
