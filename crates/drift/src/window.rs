//! One window of predictions against a reference: every statistic, its threshold, and whether it moved.

use std::collections::BTreeMap;

use modloop_bundle::Chunk;
use modloop_domain::{Label, Thresholds};

use crate::finding::{Change, Finding, Measure, Subject, Threshold, ThresholdSource};
use crate::gauge::{Gauge, Reading};
use crate::reference::Reference;
use crate::{Cbpe, Outcomes, Sample};

/// Over this many tests together a false alarm has this probability at most (Bonferroni).
pub const ALPHA: f64 = 0.05;

/// Fewer chunks say too little about how much a statistic varies.
pub const ENOUGH_CHUNKS: usize = 10;

/// Fewer labeled texts of a label measure nothing.
pub const ENOUGH_OUTCOMES: u64 = 30;

/// Every statistic of a window that can be computed.
///
/// A statistic is breached when it is beyond its threshold **and** p ≤ [`ALPHA`] / number of statistics: with
/// many items chance explains nothing, and only the size of the effect counts; with few, chance explains
/// a lot, and only the p value protects.
///
/// Decisions are counted on both sides at `thresholds`, so that a moderator who moves them causes no drift.
pub fn findings(
    reference: &Reference,
    window: &Chunk,
    outcomes: &BTreeMap<Label, Outcomes>,
    thresholds: Thresholds,
) -> Vec<Finding> {
    let gauges = Gauge::all(reference.whole(), thresholds);
    let mut findings: Vec<Finding> =
        gauges.iter().filter_map(|gauge| compared(gauge, reference, window)).collect();
    for (label, seen) in outcomes.iter().filter(|(_, seen)| seen.items() >= ENOUGH_OUTCOMES) {
        findings.extend(measured(label, *seen, reference, thresholds));
    }
    let alpha = ALPHA / findings.len().max(1) as f64;
    for finding in &mut findings {
        finding.breached = finding.is_beyond() && finding.p <= alpha;
    }
    findings
}

fn compared(gauge: &Gauge, reference: &Reference, window: &Chunk) -> Option<Finding> {
    let reading = gauge.read(reference.whole(), window)?;
    let p = gauge.p(reference.whole(), window)?;
    let by_chunk: Option<Vec<f64>> = reference
        .each_against_the_rest()
        .map(|(rest, chunk)| gauge.read(&rest, chunk).map(|r| r.value))
        .collect();
    let threshold = threshold(gauge.measure, reading, by_chunk.as_deref().unwrap_or_default());
    Some(finding(gauge.subject.clone(), gauge.measure, reading, threshold, p))
}

/// What the model claims of itself on the reference is what labels are held against.
fn measured(label: &Label, seen: Outcomes, reference: &Reference, thresholds: Thresholds) -> Vec<Finding> {
    let predicted_from = f64::from(thresholds.review().get());
    let histogram = reference.whole().scores.get(label).map(Vec::as_slice).unwrap_or_default();
    let Ok(scores) = Sample::from_histogram(histogram) else { return Vec::new() };
    let claimed = Cbpe::new(&scores, predicted_from);
    let held_against = |measure, value: Option<f64>, claim: Option<f64>, p: fn(Outcomes, f64) -> f64| {
        let (value, from) = (value?, claim?);
        let reading = Reading { value, change: Some(Change { decision: None, from, to: value }) };
        let threshold = threshold(measure, reading, &[]);
        Some(finding(Subject::Scores(label.clone()), measure, reading, threshold, p(seen, from)))
    };
    [
        held_against(Measure::MeasuredF1, seen.f1(), claimed.f1().map(|e| e.value), Outcomes::f1_fall_p),
        held_against(
            Measure::MeasuredPrecision,
            seen.precision(),
            claimed.precision().map(|e| e.value),
            Outcomes::precision_fall_p,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn finding(subject: Subject, measure: Measure, reading: Reading, threshold: Threshold, p: f64) -> Finding {
    // Whether it is breached depends on how many tests there are in the end.
    Finding { subject, measure, value: reading.value, change: reading.change, threshold, p, breached: false }
}

/// Mean and three standard deviations over chunks (as NannyML's `StandardDeviationThreshold`), where there are
/// enough of them, else the default.
fn threshold(measure: Measure, reading: Reading, by_chunk: &[f64]) -> Threshold {
    let limits = measure.limits();
    let chunks = Sample::of(by_chunk.iter().copied()).ok().filter(|_| by_chunk.len() >= ENOUGH_CHUNKS);
    let (line, source) = match (measure.is_performance(), reading.change, &chunks) {
        (true, Some(change), Some(chunks)) => (
            (chunks.mean() - 3.0 * chunks.deviation()).min(change.from - limits.least),
            ThresholdSource::Chunks,
        ),
        (true, Some(change), None) => (change.from - limits.default, ThresholdSource::Default),
        (_, _, Some(chunks)) => {
            ((chunks.mean() + 3.0 * chunks.deviation()).max(limits.least), ThresholdSource::Chunks)
        }
        (_, _, None) => (limits.default, ThresholdSource::Default),
    };
    Threshold { value: line.max(0.0), source }
}
