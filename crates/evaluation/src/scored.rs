use modloop_bundle::Calibration;
use modloop_classifier::{ScoreError, TextLogits};
use modloop_domain::{Decision, Label, Probability, Thresholds};

use crate::DevLine;
use crate::metrics::Judged;

/// What a text scores and what is decided about it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredText {
    /// In label order.
    pub scores: Vec<Probability>,
    /// At the model's own thresholds.
    pub decision: Decision,
}

/// Turns logits into scores and decisions as a model does in service.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    pub(crate) labels: Vec<Label>,
    /// In label order.
    pub(crate) calibrations: Vec<Calibration>,
    pub(crate) thresholds: Thresholds,
}

impl Judge {
    pub(crate) fn scored(&self, texts: &[TextLogits]) -> Result<Vec<ScoredText>, ScoreError> {
        texts.iter().map(|text| self.score(text)).collect()
    }

    pub(crate) fn score(&self, text: &TextLogits) -> Result<ScoredText, ScoreError> {
        let scores = self.calibrations.iter().zip(&text.logits).map(|(c, logit)| c.apply(*logit));
        let scores: Vec<_> = scores.collect::<Result<_, _>>().map_err(|_| ScoreError::NotANumber)?;
        // The strongest decision of any score is the decision by the highest score.
        let decision =
            scores.iter().map(|score| self.thresholds.decide(*score)).max().ok_or(ScoreError::NotANumber)?;
        Ok(ScoredText { scores, decision })
    }
}

/// The texts that are annotated for the label at `index`, with their scores.
pub(crate) fn judged(index: usize, lines: &[DevLine], scored: &[ScoredText]) -> Vec<Judged> {
    let pairs = lines.iter().zip(scored);
    pairs.filter_map(|(line, scored)| Some((scored.scores[index].get(), line.truth[index]?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_score_decides() {
        let p = |value| Probability::new(value).expect("a probability");
        let judge = Judge {
            labels: ["hate", "offensive"].map(|label| label.parse().expect("a label")).to_vec(),
            calibrations: vec![Calibration::IDENTITY; 2],
            thresholds: Thresholds::new(p(0.5), p(0.95)).expect("in order"),
        };
        for (logit, decision) in [(-1.0, Decision::Allow), (1.0, Decision::Review), (4.0, Decision::Remove)] {
            let logits = vec![logit, -9.0];
            let text = TextLogits { logits, tokens: 5, unknown_tokens: 1, windows: 1, truncated: false };
            assert_eq!(judge.score(&text).expect("a number").decision, decision);
        }
    }
}
