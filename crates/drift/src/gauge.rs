use modloop_bundle::{Chunk, cell};
use modloop_domain::{Decision, Thresholds};

use crate::finding::{Change, Measure, Subject};
use crate::{Binned, Cbpe, Ks, Sample, ks_statistic, largest_share_change, wasserstein_normed};

/// What a gauge shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    pub(crate) value: f64,
    pub(crate) change: Option<Change>,
}

/// One statistic, ready to be read on any two chunks.
#[derive(Debug, Clone)]
pub(crate) struct Gauge {
    pub(crate) subject: Subject,
    pub(crate) measure: Measure,
    thresholds: Thresholds,
}

impl Gauge {
    /// Every statistic that compares two chunks.
    pub(crate) fn all(reference: &Chunk, thresholds: Thresholds) -> Vec<Gauge> {
        use Measure::{EstimatedF1, EstimatedPrecision, JsDistance, Psi, ShareChange, WassersteinNormed};
        let of_scores = [Psi, WassersteinNormed, Measure::Ks, JsDistance, EstimatedF1, EstimatedPrecision];
        let scores =
            reference.scores.keys().flat_map(|label| of_scores.map(|m| (Subject::Scores(label.clone()), m)));
        let others = [
            (Subject::Decisions, JsDistance),
            (Subject::Decisions, ShareChange),
            (Subject::Entropy, Measure::Ks),
            (Subject::Lengths, JsDistance),
            (Subject::UnknownTokens, ShareChange),
        ];
        scores.chain(others).map(|(subject, measure)| Gauge { subject, measure, thresholds }).collect()
    }

    /// The statistic; `None` where the counts allow none.
    pub(crate) fn read(&self, reference: &Chunk, current: &Chunk) -> Option<Reading> {
        let distance = |value| Some(Reading { value, change: None });
        match self.measure {
            Measure::Psi => distance(self.binned(reference, current)?.psi()),
            Measure::JsDistance => distance(self.binned(reference, current)?.js_distance()),
            Measure::WassersteinNormed => {
                distance(wasserstein_normed(&self.sample(reference)?, &self.sample(current)?))
            }
            Measure::Ks => distance(ks_statistic(&self.sample(reference)?, &self.sample(current)?)),
            Measure::ShareChange => self.share_change(reference, current),
            Measure::EstimatedF1 | Measure::EstimatedPrecision => {
                let (from, to) = (self.estimate(reference)?.value, self.estimate(current)?.value);
                Some(Reading { value: to, change: Some(Change { decision: None, from, to }) })
            }
            Measure::MeasuredF1 | Measure::MeasuredPrecision => None,
        }
    }

    /// How likely so much is by chance: the KS test for what compares distribution functions, the chi-square
    /// test for what compares shares, a z test for estimates.
    pub(crate) fn p(&self, reference: &Chunk, current: &Chunk) -> Option<f64> {
        match self.measure {
            Measure::Psi | Measure::JsDistance | Measure::ShareChange => {
                Some(self.binned(reference, current)?.homogeneity_p())
            }
            Measure::WassersteinNormed | Measure::Ks => {
                Some(Ks::test(&self.sample(reference)?, &self.sample(current)?).p)
            }
            Measure::EstimatedF1 | Measure::EstimatedPrecision => {
                Some(self.estimate(current)?.fall_p(self.estimate(reference)?))
            }
            Measure::MeasuredF1 | Measure::MeasuredPrecision => None,
        }
    }

    fn binned(&self, reference: &Chunk, current: &Chunk) -> Option<Binned> {
        match self.counts(reference).zip(self.counts(current)) {
            Some((reference, current)) => Binned::of_counts(&reference, &current),
            None => Some(Binned::numerical(&self.sample(reference)?, &self.sample(current)?)),
        }
    }

    /// Counts by category; `None` for what is a number.
    fn counts(&self, chunk: &Chunk) -> Option<Vec<u64>> {
        match &self.subject {
            Subject::Decisions => Some(decisions(&chunk.top, self.thresholds).to_vec()),
            Subject::Lengths => Some(chunk.lengths.clone()),
            Subject::UnknownTokens => {
                Some(vec![chunk.tokens.saturating_sub(chunk.unknown_tokens), chunk.unknown_tokens])
            }
            Subject::Scores(_) | Subject::Entropy => None,
        }
    }

    fn sample(&self, chunk: &Chunk) -> Option<Sample> {
        let histogram = match &self.subject {
            Subject::Scores(label) => chunk.scores.get(label)?,
            Subject::Entropy => &chunk.entropy,
            Subject::Decisions | Subject::Lengths | Subject::UnknownTokens => return None,
        };
        Sample::from_histogram(histogram).ok()
    }

    fn share_change(&self, reference: &Chunk, current: &Chunk) -> Option<Reading> {
        let (before, now) = (self.counts(reference)?, self.counts(current)?);
        let (category, from, to) = largest_share_change(&before, &now)?;
        let decision = match self.subject {
            Subject::Decisions => Decision::ALL.get(category).copied(),
            _ => None,
        };
        Some(Reading { value: (to - from).abs(), change: Some(Change { decision, from, to }) })
    }

    fn estimate(&self, chunk: &Chunk) -> Option<crate::Estimate> {
        let scores = self.sample(chunk)?;
        let cbpe = Cbpe::new(&scores, f64::from(self.thresholds.review().get()));
        if self.measure == Measure::EstimatedF1 { cbpe.f1() } else { cbpe.precision() }
    }
}

/// Decisions at these thresholds, counted from the histogram of highest scores; mildest first.
fn decisions(top: &[u64], thresholds: Thresholds) -> [u64; 3] {
    let (review, remove) = (cell(thresholds.review().get()), cell(thresholds.remove().get()));
    let mut counts = [0; 3];
    for (at, count) in top.iter().enumerate() {
        let decision = if at >= remove { 2 } else { usize::from(at >= review) };
        counts[decision] += count;
    }
    counts
}
