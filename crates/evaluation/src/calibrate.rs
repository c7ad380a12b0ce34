use std::collections::BTreeMap;

use modloop_bundle::Calibration;
use modloop_classifier::TextLogits;
use modloop_domain::Label;

use crate::platt::{self, Observation};
use crate::{DevLine, EvaluationError};

/// How much the lines of a validation set weigh while a label is calibrated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CalibrationWeights {
    /// Every source weighs the same, as long as no line counts for more than [`MAX_WEIGHT`]; a source that
    /// only ever affirms the label is left out where others have both answers.
    #[default]
    Sources,
    /// Every line weighs the same: right for a sample of what will be scored.
    Lines,
}

/// The most lines that one line of a small source counts for.
pub const MAX_WEIGHT: f64 = 4.0;

/// One calibration a label, fitted on the lines that are annotated for it. `prior` speaks as some more
/// lines; a label that it names needs no line of its own.
pub(crate) fn calibrate(
    labels: &[Label],
    lines: &[DevLine],
    texts: &[TextLogits],
    weights: CalibrationWeights,
    prior: Option<&BTreeMap<Label, Calibration>>,
) -> Result<Vec<Calibration>, EvaluationError> {
    let fit = |(index, label): (usize, &Label)| {
        let observed = observations(index, lines, texts, weights);
        let prior = prior.and_then(|prior| prior.get(label)).copied();
        let count = |has: bool| observed.iter().filter(|o| o.truth == has).count();
        let line = match (count(true), count(false), prior) {
            (0, _, Some(prior)) | (_, 0, Some(prior)) => return Ok(prior),
            (positives, negatives, None) if positives == 0 || negatives == 0 => {
                return Err(EvaluationError::OneClass { label: label.clone(), positives, negatives });
            }
            (_, _, Some(prior)) => platt::fit_after(prior, &observed),
            (_, _, None) => platt::fit(&observed),
        };
        Calibration::new(rounded(line.0), rounded(line.1))
            .map_err(|error| EvaluationError::NotLearnt { label: label.clone(), error })
    };
    labels.iter().enumerate().map(fit).collect()
}

/// To six decimals: these come back from JSON exactly, so that what is served is what was measured.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// What the annotated lines say about one label.
fn observations(
    index: usize,
    lines: &[DevLine],
    texts: &[TextLogits],
    weights: CalibrationWeights,
) -> Vec<Observation> {
    let annotated = || {
        let pairs = lines.iter().zip(texts);
        pairs.filter_map(|(line, text)| Some((line.source.as_str(), text.logits[index], line.truth[index]?)))
    };
    let mut weight_of = BTreeMap::new();
    if weights == CalibrationWeights::Sources {
        let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
        annotated().for_each(|(source, _, truth)| counts.entry(source).or_default().record(truth));
        weight_of = source_weights(counts);
    }
    let weigh = |(source, logit, truth)| {
        let weight = weight_of.get(source).copied().unwrap_or(1.0);
        Observation { logit, truth, weight }
    };
    let mut observed: Vec<Observation> = annotated().map(weigh).filter(|o| o.weight > 0.0).collect();
    scale_to_effective(&mut observed);
    observed
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    positives: usize,
    negatives: usize,
}

impl Counts {
    fn record(&mut self, truth: bool) {
        if truth {
            self.positives += 1;
        } else {
            self.negatives += 1;
        }
    }
}

/// How many lines each line of a source counts for.
fn source_weights(counts: BTreeMap<&str, Counts>) -> BTreeMap<&str, f64> {
    // Where a set's "no" was dropped, its "yes" alone would teach that everything has the label.
    let affirms = |counts: &Counts| counts.negatives == 0;
    let others_suffice = counts.values().any(|c| c.positives > 0 && c.negatives > 0);
    let left_out = |counts: &Counts| others_suffice && affirms(counts);
    let kept: Vec<usize> =
        counts.values().filter(|c| !left_out(c)).map(|c| c.positives + c.negatives).collect();
    let mean = kept.iter().sum::<usize>() as f64 / kept.len().max(1) as f64;
    let weigh = |counts: &Counts| match left_out(counts) {
        true => 0.0,
        false => (mean / (counts.positives + counts.negatives) as f64).min(MAX_WEIGHT),
    };
    counts.iter().map(|(source, counts)| (*source, weigh(counts))).collect()
}

/// Uneven weights say less than as many even ones: together they shall count for Kish's effective number
/// of lines, (Σw)² / Σw², so that a prior stands against what is really known.
fn scale_to_effective(observed: &mut [Observation]) {
    let sum: f64 = observed.iter().map(|o| o.weight).sum();
    let squares: f64 = observed.iter().map(|o| o.weight * o.weight).sum();
    if squares > 0.0 {
        observed.iter_mut().for_each(|o| o.weight *= sum / squares);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label() -> Vec<Label> {
        vec!["hate".parse().expect("a label")]
    }

    /// `lines` of a source, of which `positives`, all at one logit.
    fn source(name: &str, logit: f32, positives: usize, lines: usize) -> Vec<(DevLine, TextLogits)> {
        let line = |i| DevLine { source: name.into(), text: String::new(), truth: vec![Some(i < positives)] };
        let text =
            TextLogits { logits: vec![logit], tokens: 1, unknown_tokens: 0, windows: 1, truncated: false };
        (0..lines).map(|i| (line(i), text.clone())).collect()
    }

    fn fitted(
        parts: &[Vec<(DevLine, TextLogits)>],
        weights: CalibrationWeights,
        prior: Option<Calibration>,
    ) -> Result<Calibration, EvaluationError> {
        let (lines, texts): (Vec<_>, Vec<_>) = parts.concat().into_iter().unzip();
        let prior = prior.map(|prior| BTreeMap::from([(label()[0].clone(), prior)]));
        calibrate(&label(), &lines, &texts, weights, prior.as_ref()).map(|c| c[0])
    }

    fn chance(calibration: Calibration, logit: f32) -> f32 {
        calibration.apply(logit).expect("a number").get()
    }

    #[test]
    fn each_source_weighs_the_same_whatever_its_lines() {
        // Both sources have texts at -1 and 1; the large one is nearly all harmless.
        let parts = [
            source("large", -1.0, 0, 800),
            source("large", 1.0, 0, 800),
            source("small", -1.0, 0, 400),
            source("small", 1.0, 400, 400),
        ];
        let by_lines = fitted(&parts, CalibrationWeights::Lines, None).expect("fits");
        let by_sources = fitted(&parts, CalibrationWeights::Sources, None).expect("fits");
        assert!((chance(by_lines, 1.0) - 1.0 / 3.0).abs() < 0.01, "{by_lines:?}");
        assert!((chance(by_sources, 1.0) - 0.5).abs() < 0.01, "{by_sources:?}");
    }

    #[test]
    fn a_handful_of_lines_cannot_outweigh_a_set() {
        let parts = [source("set", -1.0, 0, 500), source("set", 1.0, 500, 1000), source("odd", 1.0, 0, 5)];
        let fitted = fitted(&parts, CalibrationWeights::Sources, None).expect("fits");
        assert!((chance(fitted, 1.0) - 0.49).abs() < 0.01, "{fitted:?}");
    }

    #[test]
    fn a_source_that_only_affirms_is_left_out_unless_nothing_else_does() {
        let both = [source("both", -1.0, 10, 100), source("both", 1.0, 50, 100)].concat();
        let yes = source("yes", 1.0, 200, 200);
        let with = fitted(&[both.clone(), yes.clone()], CalibrationWeights::Sources, None).expect("fits");
        let without = fitted(&[both], CalibrationWeights::Sources, None).expect("fits");
        assert_eq!(with, without);
        let no = source("no", -1.0, 0, 200);
        assert!(fitted(&[yes, no], CalibrationWeights::Sources, None).is_ok());
    }

    #[test]
    fn one_class_keeps_the_prior_or_is_refused() {
        let harmless = [source("new", -2.0, 0, 60)];
        let prior = Calibration::new(1.2, -0.3).expect("a rising line");
        let kept = fitted(&harmless, CalibrationWeights::Sources, Some(prior)).expect("keeps");
        assert_eq!(kept, prior);
        let refused = fitted(&harmless, CalibrationWeights::Sources, None).expect_err("refused");
        assert!(matches!(refused, EvaluationError::OneClass { positives: 0, negatives: 60, .. }));
    }

    #[test]
    fn uneven_weights_count_for_fewer_lines() {
        let one = |weight| Observation { logit: 0.0, truth: true, weight };
        let mut observed = [one(4.0), one(1.0), one(1.0)];
        scale_to_effective(&mut observed);
        let total: f64 = observed.iter().map(|o| o.weight).sum();
        assert!((total - 2.0).abs() < 1e-12, "{total}");
    }
}
