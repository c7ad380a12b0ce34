//! When more training no longer helps.

use serde::{Deserialize, Serialize};

/// Follows the score on dev: the mean over the labels of macro-F1, each at its best threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    best: Option<f64>,
    /// Scores since the best.
    worse: usize,
}

impl EarlyStopping {
    /// Takes a score into account; true when it is the best so far.
    pub fn improves(&mut self, score: f64) -> bool {
        let improved = self.best.is_none_or(|best| score > best);
        if improved {
            *self = Self { best: Some(score), worse: 0 };
        } else {
            self.worse += 1;
        }
        improved
    }

    /// The best score so far.
    pub fn best(&self) -> Option<f64> {
        self.best
    }

    /// Whether `patience` scores in a row were no better than the best. Without patience it never gives up.
    pub fn gives_up(&self, patience: Option<usize>) -> bool {
        patience.is_some_and(|patience| self.worse >= patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_up_after_as_many_worse_scores_as_it_has_patience() {
        let mut early = EarlyStopping::default();
        let improved: Vec<bool> = [0.5, 0.4, 0.6, 0.6, 0.59].map(|score| early.improves(score)).to_vec();
        assert_eq!(improved, [true, false, true, false, false]);
        assert_eq!(early.best(), Some(0.6));
        assert!(early.gives_up(Some(2)) && !early.gives_up(Some(3)) && !early.gives_up(None));
    }
}
