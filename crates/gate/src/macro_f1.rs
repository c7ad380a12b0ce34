use crate::{Judged, Outcome, Pair};

/// Confusion counts of one model on one label.
#[derive(Debug, Clone, Copy, Default)]
struct Confusion {
    true_positives: u32,
    false_positives: u32,
    false_negatives: u32,
    true_negatives: u32,
}

impl Confusion {
    fn count(&mut self, found: bool, truth: bool) {
        match (found, truth) {
            (true, true) => self.true_positives += 1,
            (true, false) => self.false_positives += 1,
            (false, true) => self.false_negatives += 1,
            (false, false) => self.true_negatives += 1,
        }
    }

    /// Mean of the F1 of having the label and of not having it.
    fn macro_f1(&self) -> f64 {
        let errors = self.false_positives + self.false_negatives;
        (f1(self.true_positives, errors) + f1(self.true_negatives, errors)) / 2.0
    }
}

/// Nothing to find and nothing found is no fault.
fn f1(hits: u32, errors: u32) -> f64 {
    if hits + errors == 0 { 1.0 } else { f64::from(2 * hits) / f64::from(2 * hits + errors) }
}

/// Mean over the labels with a known truth of the macro-F1 of each, for both models; zero where no truth is
/// known at all.
pub fn macro_f1<'a>(items: impl IntoIterator<Item = &'a Judged>) -> Pair<f64> {
    let mut counted: Vec<Pair<Confusion>> = Vec::new();
    for item in items {
        if counted.len() < item.outcomes.len() {
            counted.resize(item.outcomes.len(), Pair::default());
        }
        for (label, outcome) in counted.iter_mut().zip(&item.outcomes) {
            if let Some(Outcome { truth, champion, challenger }) = *outcome {
                label.champion.count(champion, truth);
                label.challenger.count(challenger, truth);
            }
        }
    }
    let seen =
        |c: &Confusion| c.true_positives + c.false_positives + c.false_negatives + c.true_negatives > 0;
    counted.retain(|pair| seen(&pair.champion));
    let mean = |model: fn(&Pair<Confusion>) -> f64| {
        counted.iter().map(model).sum::<f64>() / counted.len().max(1) as f64
    };
    Pair { champion: mean(|p| p.champion.macro_f1()), challenger: mean(|p| p.challenger.macro_f1()) }
}
