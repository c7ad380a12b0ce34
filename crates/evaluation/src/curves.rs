//! What the plots of a label show. Pure.

use serde::{Deserialize, Serialize};

use crate::metrics::{Confusion, ECE_BINS, Judged, ratio};

/// Cells of a [`ScoreHistogram`], equally wide.
pub const HISTOGRAM_CELLS: usize = 20;
/// Steps of a threshold curve from 0 to 1.
pub const CURVE_STEPS: u16 = 50;

/// Texts whose scores are near each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Texts in it.
    pub items: usize,
    /// What they score in the mean: what is claimed.
    pub mean_score: f64,
    /// Share of them that has the label: what is true.
    pub positives: f64,
}

/// The bins of the calibration error that hold a text, lowest scores first.
pub fn reliability(judged: &[Judged]) -> Vec<ReliabilityBin> {
    let mut bins = [(0usize, 0.0, 0usize); ECE_BINS];
    for (score, truth) in judged {
        let bin = &mut bins[bin_of(*score)];
        bin.0 += 1;
        bin.1 += f64::from(*score);
        bin.2 += usize::from(*truth);
    }
    let filled = bins.into_iter().filter(|(items, ..)| *items > 0);
    filled
        .map(|(items, scores, positives)| ReliabilityBin {
            items,
            mean_score: scores / items as f64,
            positives: positives as f64 / items as f64,
        })
        .collect()
}

/// The bin of a score, of [`ECE_BINS`].
pub(crate) fn bin_of(score: f32) -> usize {
    ((score * ECE_BINS as f32) as usize).min(ECE_BINS - 1)
}

/// How many texts score what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreHistogram {
    /// Of the texts that have the label, [`HISTOGRAM_CELLS`] counts.
    pub with: Vec<usize>,
    /// Of those that have it not.
    pub without: Vec<usize>,
}

impl ScoreHistogram {
    /// Counts every text once.
    pub fn of(judged: &[Judged]) -> Self {
        let mut histogram = Self { with: vec![0; HISTOGRAM_CELLS], without: vec![0; HISTOGRAM_CELLS] };
        for (score, truth) in judged {
            let cell = ((score * HISTOGRAM_CELLS as f32) as usize).min(HISTOGRAM_CELLS - 1);
            let counts = if *truth { &mut histogram.with } else { &mut histogram.without };
            counts[cell] += 1;
        }
        histogram
    }
}

/// What a threshold does to a set of texts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// A score on it counts as found.
    pub threshold: f32,
    /// Share of all texts that is found.
    pub flagged: Option<f64>,
    /// Of the found texts, the share that has the label.
    pub precision: Option<f64>,
    /// Of the texts that have the label, the share found.
    pub recall: Option<f64>,
    /// The counts behind the shares.
    pub confusion: Confusion,
}

impl OperatingPoint {
    /// Decides every text at one threshold.
    pub fn at(judged: &[Judged], threshold: f32) -> Self {
        let confusion = Confusion::at(judged, threshold);
        Self {
            threshold,
            flagged: confusion.flagged(),
            precision: confusion.precision(),
            recall: confusion.recall(),
            confusion,
        }
    }
}

/// A point of a threshold curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// A score on it counts as found.
    pub threshold: f32,
    /// Null where nothing is found.
    pub precision: Option<f64>,
    /// Null where nothing has the label.
    pub recall: Option<f64>,
}

/// Precision and recall at thresholds from 0 to 1 in [`CURVE_STEPS`] steps.
pub fn threshold_curve(judged: &[Judged]) -> Vec<CurvePoint> {
    let mut sorted = judged.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = judged.iter().filter(|(_, truth)| *truth).count();
    let mut found = 0;
    let mut hits = 0;
    let mut curve: Vec<CurvePoint> = (0..=CURVE_STEPS)
        .rev()
        .map(|step| {
            let threshold = f32::from(step) / f32::from(CURVE_STEPS);
            while let Some((_, truth)) = sorted.get(found).filter(|(score, _)| *score >= threshold) {
                found += 1;
                hits += usize::from(*truth);
            }
            CurvePoint { threshold, precision: ratio(hits, found), recall: ratio(hits, positives) }
        })
        .collect();
    curve.reverse();
    curve
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::expected_calibration_error;
    use proptest::prelude::*;

    #[test]
    fn known_curves() {
        let judged = [(0.1, false), (0.5, true), (0.52, false), (1.0, true)];
        let curve = threshold_curve(&judged);
        assert_eq!(curve.len(), 51);
        assert_eq!((curve[0].precision, curve[0].recall), (Some(0.5), Some(1.0)));
        assert_eq!((curve[25].threshold, curve[25].precision), (0.5, Some(2.0 / 3.0)));
        assert_eq!((curve[50].precision, curve[50].recall), (Some(1.0), Some(0.5)));
        let histogram = ScoreHistogram::of(&judged);
        assert_eq!((histogram.with[10], histogram.with[19], histogram.without[2]), (1, 1, 1));
        let bins = reliability(&judged);
        assert_eq!((bins.len(), bins[1].items, bins[1].positives), (3, 2, 0.5));
    }

    fn judged() -> impl Strategy<Value = Vec<Judged>> {
        proptest::collection::vec(((0u8..=40).prop_map(|s| f32::from(s) / 40.0), any::<bool>()), 1..60)
    }

    proptest! {
        #[test]
        fn a_curve_is_what_each_threshold_does(judged in judged()) {
            for point in threshold_curve(&judged) {
                let at = OperatingPoint::at(&judged, point.threshold);
                prop_assert_eq!((point.precision, point.recall), (at.precision, at.recall));
            }
        }

        #[test]
        fn every_text_is_in_one_bin_and_one_cell(judged in judged()) {
            let bins = reliability(&judged);
            prop_assert_eq!(bins.iter().map(|bin| bin.items).sum::<usize>(), judged.len());
            let histogram = ScoreHistogram::of(&judged);
            let counted: usize = histogram.with.iter().chain(&histogram.without).sum();
            prop_assert_eq!(counted, judged.len());
        }

        #[test]
        fn the_diagram_and_the_calibration_error_agree(judged in judged()) {
            let gap = |bin: &ReliabilityBin| (bin.mean_score - bin.positives).abs() * bin.items as f64;
            let error = reliability(&judged).iter().map(gap).sum::<f64>() / judged.len() as f64;
            let expected = expected_calibration_error(&judged).expect("there are texts");
            prop_assert!((error - expected).abs() < 1e-9, "{} {}", error, expected);
        }
    }
}
