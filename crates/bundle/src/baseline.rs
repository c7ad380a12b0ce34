use std::collections::BTreeMap;

use modloop_domain::{Decision, Label, Probability};
use serde::{Deserialize, Serialize};

/// Histograms have `GRID + 1` cells: a number p from 0 to 1 counts in cell round(p · GRID).
pub const GRID: usize = 200;

/// Lower bounds, in tokens, of all length buckets but the first; what Postgres' `width_bucket(tokens,
/// LENGTH_BOUNDS)` takes.
pub const LENGTH_BOUNDS: [u32; 9] = [4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// The cell of a number from 0 to 1: round(p · [`GRID`]).
pub fn cell(p: f32) -> usize {
    // Numbers outside are kept in the outermost cells; `as` also sends NaN to 0.
    ((f64::from(p) * GRID as f64).round() as usize).min(GRID)
}

/// The bucket of a text's length in tokens: 0 for fewer than 4, 9 for 1024 and more.
pub fn length_bucket(tokens: u32) -> usize {
    LENGTH_BOUNDS.partition_point(|bound| *bound <= tokens)
}

/// How the model behaves on its validation set, measured exactly as served: what the monitor compares
/// with. Split into chunks so that ordinary variation can be told from drift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Always [`GRID`] in format 1.
    pub grid: usize,
    /// Disjoint random parts of the validation set.
    pub chunks: Vec<Chunk>,
}

/// Counts over one part of the validation set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Texts counted.
    pub items: u64,
    /// Per label, a histogram of calibrated scores ([`GRID`] + 1 cells).
    pub scores: BTreeMap<Label, Vec<u64>>,
    /// Histogram of each text's highest score ([`GRID`] + 1 cells): from it decisions at any thresholds
    /// are counted, so that a subreddit with thresholds of its own can be compared too.
    pub top: Vec<u64>,
    /// Histogram of the entropy in bits ([`GRID`] + 1 cells).
    pub entropy: Vec<u64>,
    /// Decisions at the bundle's own thresholds.
    pub decisions: DecisionCounts,
    /// Texts by length in tokens, see [`length_bucket`].
    pub lengths: Vec<u64>,
    /// Tokens of all texts together, without special tokens.
    pub tokens: u64,
    /// How many of them the vocabulary does not know.
    pub unknown_tokens: u64,
}

/// How often each decision was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionCounts {
    /// Left alone.
    pub allow: u64,
    /// For a moderator.
    pub review: u64,
    /// Taken down.
    pub remove: u64,
}

impl DecisionCounts {
    /// Counts one decision.
    pub fn record(&mut self, decision: Decision) {
        match decision {
            Decision::Allow => self.allow += 1,
            Decision::Review => self.review += 1,
            Decision::Remove => self.remove += 1,
        }
    }

    fn total(self) -> u64 {
        self.allow + self.review + self.remove
    }
}

impl Chunk {
    /// A chunk that has counted nothing yet.
    pub fn new(labels: &[Label]) -> Self {
        Self {
            items: 0,
            scores: labels.iter().map(|label| (label.clone(), vec![0; GRID + 1])).collect(),
            top: vec![0; GRID + 1],
            entropy: vec![0; GRID + 1],
            decisions: DecisionCounts::default(),
            lengths: vec![0; LENGTH_BOUNDS.len() + 1],
            tokens: 0,
            unknown_tokens: 0,
        }
    }

    /// Counts one text. Labels the chunk was not made for are ignored.
    pub fn record<'a>(
        &mut self,
        scores: impl IntoIterator<Item = (&'a Label, Probability)>,
        entropy: f32,
        decision: Decision,
        tokens: u32,
        unknown_tokens: u32,
    ) {
        self.items += 1;
        let mut top = 0.0_f32;
        for (label, score) in scores {
            top = top.max(score.get());
            if let Some(histogram) = self.scores.get_mut(label) {
                histogram[cell(score.get())] += 1;
            }
        }
        self.top[cell(top)] += 1;
        self.entropy[cell(entropy)] += 1;
        self.decisions.record(decision);
        self.lengths[length_bucket(tokens)] += 1;
        self.tokens += u64::from(tokens);
        self.unknown_tokens += u64::from(unknown_tokens);
    }

    /// What is inconsistent in this chunk, if anything.
    fn problem(&self, labels: &[Label]) -> Option<String> {
        for label in labels {
            let Some(histogram) = self.scores.get(label) else {
                return Some(format!("has no histogram for label {label}"));
            };
            if histogram.len() != GRID + 1 || histogram.iter().sum::<u64>() != self.items {
                return Some(format!(
                    "has a histogram for {label} that is not {} cells of all items",
                    GRID + 1
                ));
            }
        }
        let fits = self.top.len() == GRID + 1
            && self.entropy.len() == GRID + 1
            && self.lengths.len() == LENGTH_BOUNDS.len() + 1
            && self.decisions.total() == self.items;
        (!fits).then(|| {
            "does not count every item once by highest score, entropy, length and decision".to_owned()
        })
    }
}

impl Baseline {
    /// What is inconsistent with these labels, if anything.
    pub(crate) fn problem(&self, labels: &[Label]) -> Option<String> {
        if self.grid != GRID {
            return Some(format!("the baseline has grid {}, expected {GRID}", self.grid));
        }
        if self.chunks.is_empty() {
            return Some("the baseline has no chunks".to_owned());
        }
        let numbered = self.chunks.iter().enumerate();
        numbered.filter_map(|(i, c)| c.problem(labels).map(|p| format!("baseline chunk {i} {p}"))).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cells_and_buckets_have_the_documented_edges() {
        assert_eq!((cell(0.0), cell(0.5), cell(1.0)), (0, 100, 200));
        assert_eq!((cell(0.0024), cell(0.0026)), (0, 1));
        assert_eq!((length_bucket(0), length_bucket(3), length_bucket(4)), (0, 0, 1));
        assert_eq!((length_bucket(1023), length_bucket(1024)), (8, 9));
    }

    proptest! {
        #[test]
        fn every_recorded_text_is_counted_once_everywhere(
            texts in proptest::collection::vec((0f32..=1.0, 0f32..=1.0, 0u32..3000), 0..50)
        ) {
            let labels = ["hate".parse().expect("a label")];
            let mut chunk = Chunk::new(&labels);
            for (p, entropy, tokens) in &texts {
                let score = Probability::new(*p).expect("a probability");
                chunk.record([(&labels[0], score)], *entropy, Decision::Review, *tokens, 0);
            }
            let items = texts.len() as u64;
            prop_assert_eq!(chunk.problem(&labels), None);
            prop_assert_eq!(chunk.top.iter().sum::<u64>(), items);
            prop_assert_eq!(chunk.entropy.iter().sum::<u64>(), items);
            prop_assert_eq!(chunk.lengths.iter().sum::<u64>(), items);
        }
    }
}
