use std::collections::BTreeMap;

use modloop_bundle::{Baseline, Calibration, Chunk, GRID};
use modloop_classifier::{ScoreError, TextLogits, entropy};
use modloop_domain::{Decision, Label, Probability, Thresholds};

use crate::metrics::{Judged, measure};
use crate::{DevLine, LabelMetrics};

/// A baseline chunk holds about this many texts, and there are at most [`MOST_CHUNKS`].
const CHUNK: usize = 200;
const MOST_CHUNKS: usize = 20;

/// What is scored and decided about one text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decided {
    /// In label order.
    pub(crate) scores: Vec<Probability>,
    pub(crate) decision: Decision,
}

/// Calibrates and decides as the classifier does in service.
pub(crate) fn decide(
    texts: &[TextLogits],
    calibrations: &[Calibration],
    thresholds: Thresholds,
) -> Result<Vec<Decided>, ScoreError> {
    texts.iter().map(|text| decide_one(text, calibrations, thresholds)).collect()
}

fn decide_one(
    text: &TextLogits,
    calibrations: &[Calibration],
    thresholds: Thresholds,
) -> Result<Decided, ScoreError> {
    let scores = calibrations.iter().zip(&text.logits).map(|(c, logit)| c.apply(*logit));
    let scores: Vec<_> = scores.collect::<Result<_, _>>().map_err(|_| ScoreError::NotANumber)?;
    // The strongest decision of any score is the decision by the highest score.
    let decision =
        scores.iter().map(|score| thresholds.decide(*score)).max().ok_or(ScoreError::NotANumber)?;
    Ok(Decided { scores, decision })
}

/// Measures every label on the lines that are annotated for it, overall and by source.
pub(crate) fn measure_labels(
    labels: &[Label],
    lines: &[DevLine],
    decided: &[Decided],
    thresholds: Thresholds,
) -> BTreeMap<Label, LabelMetrics> {
    let threshold = thresholds.review().get();
    let measure_label = |(index, label): (usize, &Label)| {
        let mut all: Vec<Judged> = Vec::new();
        let mut by_source: BTreeMap<&str, Vec<Judged>> = BTreeMap::new();
        for (line, decided) in lines.iter().zip(decided) {
            let Some(truth) = line.truth[index] else { continue };
            let judged = (decided.scores[index].get(), truth);
            all.push(judged);
            by_source.entry(&line.source).or_default().push(judged);
        }
        let by_source = by_source.into_iter().map(|(s, judged)| (s.to_owned(), measure(&judged, threshold)));
        (label.clone(), LabelMetrics { overall: measure(&all, threshold), by_source: by_source.collect() })
    };
    labels.iter().enumerate().map(measure_label).collect()
}

/// Counts the validation set in chunks of equal size; its order is random already.
pub(crate) fn baseline(labels: &[Label], texts: &[TextLogits], decided: &[Decided]) -> Baseline {
    let chunks = (texts.len() / CHUNK).clamp(1, MOST_CHUNKS);
    let size = texts.len().div_ceil(chunks).max(1);
    let count = |(texts, decided): (&[TextLogits], &[Decided])| {
        let mut chunk = Chunk::new(labels);
        for (text, Decided { scores, decision }) in texts.iter().zip(decided) {
            let labelled = labels.iter().zip(scores.iter().copied());
            chunk.record(labelled, entropy(scores), *decision, text.tokens, text.unknown_tokens);
        }
        chunk
    };
    let chunks = texts.chunks(size).zip(decided.chunks(size)).map(count).collect();
    Baseline { grid: GRID, chunks }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(logit: f32) -> TextLogits {
        let logits = vec![logit, -9.0];
        TextLogits { logits, tokens: 5, unknown_tokens: 1, windows: 1, truncated: false }
    }

    fn decided(logit: f32) -> Decided {
        let p = |value| Probability::new(value).expect("a probability");
        let thresholds = Thresholds::new(p(0.5), p(0.95)).expect("in order");
        decide_one(&text(logit), &[Calibration::IDENTITY; 2], thresholds).expect("a number")
    }

    #[test]
    fn the_highest_score_decides() {
        assert_eq!(decided(-1.0).decision, Decision::Allow);
        assert_eq!(decided(1.0).decision, Decision::Review);
        assert_eq!(decided(4.0).decision, Decision::Remove);
    }

    #[test]
    fn large_sets_have_at_least_ten_chunks_and_lose_no_text() {
        let labels = ["hate", "offensive"].map(|label| label.parse().expect("a label"));
        for (items, chunks) in [(0, 0), (150, 1), (2000, 10), (13_368, 20)] {
            let made = baseline(&labels, &vec![text(1.0); items], &vec![decided(1.0); items]);
            assert_eq!(made.chunks.len(), chunks, "{items} texts");
            assert_eq!(made.chunks.iter().map(|c| c.items).sum::<u64>(), items as u64);
        }
    }

    #[test]
    fn lines_that_are_not_annotated_are_not_measured() {
        let labels = ["hate", "offensive"].map(|label| label.parse().expect("a label"));
        let line = |source: &str, truth| DevLine { source: source.into(), text: String::new(), truth };
        let lines = [line("a", vec![Some(true), None]), line("b", vec![None, Some(false)])];
        let p = |value| Probability::new(value).expect("a probability");
        let thresholds = Thresholds::new(p(0.5), p(0.95)).expect("in order");
        let measured = measure_labels(&labels, &lines, &[decided(1.0), decided(-1.0)], thresholds);
        let hate = &measured[&labels[0]];
        assert_eq!((hate.overall.items, hate.overall.f1, hate.by_source.len()), (1, Some(1.0), 1));
        assert_eq!(measured[&labels[1]].overall.prevalence, Some(0.0));
    }
}
