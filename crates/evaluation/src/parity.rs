use std::collections::BTreeMap;

use modloop_domain::{Label, Thresholds};
use serde::{Deserialize, Serialize};

use crate::metrics::Confusion;
use crate::scored::{ScoredText, judged};
use crate::{DevLine, Target};

/// The most decisions that int8 may change, as a share.
pub const MAX_FLIPS: f64 = 0.005;
/// The most macro-F1 that int8 may cost a label, in points (hundredths).
pub const MAX_LOSS: f64 = 0.3;

/// How far the served graph is from fp32 on the same texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parity {
    /// Texts compared.
    pub items: usize,
    /// Texts on which the two decide differently.
    pub decision_flips: usize,
    /// The same as a share.
    pub flip_share: Target,
    /// Largest difference of a score.
    pub largest_difference: f64,
    /// Mean difference of a score.
    pub mean_difference: f64,
    /// Per label.
    pub labels: BTreeMap<Label, LabelParity>,
}

/// What int8 does to one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelParity {
    /// Macro-F1 as served.
    pub served_macro_f1: Option<f64>,
    /// Macro-F1 of fp32.
    pub exact_macro_f1: Option<f64>,
    /// What is lost, in points; negative where int8 is better by chance.
    pub loss: Option<Target>,
    /// Largest difference of a score.
    pub largest_difference: f64,
}

impl Parity {
    /// Whether every target is met.
    pub fn targets_met(&self) -> bool {
        self.flip_share.met && self.labels.values().filter_map(|label| label.loss).all(|loss| loss.met)
    }
}

/// Compares text by text.
pub(crate) fn compare(
    labels: &[Label],
    lines: &[DevLine],
    served: &[ScoredText],
    exact: &[ScoredText],
    thresholds: Thresholds,
) -> Parity {
    let pairs = || served.iter().zip(exact);
    let differences = |index: usize| {
        pairs().map(move |(a, b)| f64::from((a.scores[index].get() - b.scores[index].get()).abs()))
    };
    let by_label = labels.iter().enumerate().map(|(index, label)| {
        let macro_f1 =
            |scored| Confusion::at(&judged(index, lines, scored), thresholds.review().get()).macro_f1();
        let (served_macro_f1, exact_macro_f1) = (macro_f1(served), macro_f1(exact));
        let loss = served_macro_f1.zip(exact_macro_f1).map(|(served, exact)| (exact - served) * 100.0);
        let parity = LabelParity {
            served_macro_f1,
            exact_macro_f1,
            loss: loss.map(|loss| Target::at_most(MAX_LOSS, loss)),
            largest_difference: differences(index).fold(0.0, f64::max),
        };
        (label.clone(), parity)
    });
    let by_label: BTreeMap<_, _> = by_label.collect();
    let items = pairs().count();
    let decision_flips = pairs().filter(|(a, b)| a.decision != b.decision).count();
    let sum: f64 = (0..labels.len()).flat_map(differences).sum();
    Parity {
        items,
        decision_flips,
        flip_share: Target::at_most(MAX_FLIPS, decision_flips as f64 / items.max(1) as f64),
        largest_difference: by_label.values().map(|l| l.largest_difference).fold(0.0, f64::max),
        mean_difference: sum / (items * labels.len()).max(1) as f64,
        labels: by_label,
    }
}

#[cfg(test)]
mod tests {
    use modloop_domain::{Decision, Probability};

    use super::*;

    fn p(value: f32) -> Probability {
        Probability::new(value).expect("a probability")
    }

    fn scored(scores: [f32; 2], decision: Decision) -> ScoredText {
        ScoredText { scores: scores.map(p).to_vec(), decision }
    }

    #[test]
    fn flips_differences_and_lost_points_are_counted() {
        let labels = ["hate", "offensive"].map(|label| label.parse().expect("a label"));
        let line = |hate| DevLine { source: "a".into(), text: String::new(), truth: vec![Some(hate), None] };
        let lines = [line(false), line(false), line(true)];
        let sure = || scored([0.75, 0.25], Decision::Review);
        let served = [scored([0.5, 0.125], Decision::Review), scored([0.25, 0.25], Decision::Allow), sure()];
        let exact = [scored([0.25, 0.125], Decision::Allow), scored([0.25, 0.25], Decision::Allow), sure()];
        let thresholds = Thresholds::new(p(0.5), p(0.95)).expect("in order");
        let parity = compare(&labels, &lines, &served, &exact, thresholds);

        assert_eq!((parity.items, parity.decision_flips), (3, 1));
        assert_eq!((parity.largest_difference, parity.mean_difference), (0.25, 0.25 / 6.0));
        assert!(!parity.flip_share.met && !parity.targets_met());
        let hate = &parity.labels[&labels[0]];
        // Served: one false alarm, so F1 is 2/3 for both classes; fp32 makes no mistake.
        assert_eq!((hate.exact_macro_f1, hate.served_macro_f1), (Some(1.0), Some(2.0 / 3.0)));
        let loss = hate.loss.expect("both have a macro-F1");
        assert!((loss.measured - 100.0 / 3.0).abs() < 1e-9 && !loss.met, "{loss:?}");
        assert_eq!(parity.labels[&labels[1]].loss, None);
        assert_eq!(parity.labels[&labels[1]].largest_difference, 0.0);
    }

    #[test]
    fn the_same_scores_meet_every_target() {
        let labels = ["hate".parse().expect("a label")];
        let lines = [DevLine { source: "a".into(), text: String::new(), truth: vec![Some(true)] }];
        let same = [ScoredText { scores: vec![p(0.75)], decision: Decision::Review }];
        let thresholds = Thresholds::new(p(0.5), p(0.95)).expect("in order");
        assert!(compare(&labels, &lines, &same, &same, thresholds).targets_met());
    }
}
