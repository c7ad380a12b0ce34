use modloop_bundle::{Baseline, Chunk, GRID};
use modloop_classifier::{TextLogits, entropy};
use modloop_domain::Label;

use crate::ScoredText;

/// A baseline chunk holds about this many texts, and there are at most [`MAX_CHUNKS`].
const CHUNK: usize = 200;
const MAX_CHUNKS: usize = 20;

/// Counts the validation set in chunks of equal size; its order is random already.
pub(crate) fn baseline(labels: &[Label], texts: &[TextLogits], scored: &[ScoredText]) -> Baseline {
    let chunks = (texts.len() / CHUNK).clamp(1, MAX_CHUNKS);
    let size = texts.len().div_ceil(chunks).max(1);
    let count = |(texts, scored): (&[TextLogits], &[ScoredText])| {
        let mut chunk = Chunk::new(labels);
        for (text, ScoredText { scores, decision }) in texts.iter().zip(scored) {
            let labeled = labels.iter().zip(scores.iter().copied());
            chunk.record(labeled, entropy(scores), *decision, text.tokens, text.unknown_tokens);
        }
        chunk
    };
    let chunks = texts.chunks(size).zip(scored.chunks(size)).map(count).collect();
    Baseline { grid: GRID, chunks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use modloop_domain::{Decision, Probability};

    #[test]
    fn large_sets_have_at_least_ten_chunks_and_lose_no_text() {
        let labels = ["hate", "offensive"].map(|label| label.parse().expect("a label"));
        let text = TextLogits {
            logits: vec![1.0, -9.0],
            tokens: 5,
            unknown_tokens: 1,
            windows: 1,
            truncated: false,
        };
        let p = |value| Probability::new(value).expect("a probability");
        let scored = ScoredText { scores: vec![p(0.75), p(0.0)], decision: Decision::Review };
        for (items, chunks) in [(0, 0), (150, 1), (2000, 10), (13_368, 20)] {
            let made = baseline(&labels, &vec![text.clone(); items], &vec![scored.clone(); items]);
            assert_eq!(made.chunks.len(), chunks, "{items} texts");
            assert_eq!(made.chunks.iter().map(|c| c.items).sum::<u64>(), items as u64);
        }
    }
}
