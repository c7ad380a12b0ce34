use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Decision, Label, Probability, Thresholds};

/// The thresholds of a community: two for all labels, and a label's own where it has them.
///
/// Stored as `{"review": r, "remove": m, "labels": {"LABEL": {"review": r, "remove": m}}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommunityThresholds {
    /// Of every label that has none of its own.
    #[serde(flatten)]
    pub all: Thresholds,
    /// By label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Label, Thresholds>,
}

/// What thresholds make of scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgment {
    /// The strongest of all labels.
    pub decision: Decision,
    /// The label that led to it; of several the one with the highest score. `None` where there are no labels.
    pub label: Option<Label>,
}

impl CommunityThresholds {
    /// The thresholds of one label.
    pub fn of(&self, label: &Label) -> Thresholds {
        self.labels.get(label).copied().unwrap_or(self.all)
    }

    /// Judges an item by its scores, which are in the order of `labels`. Depends on nothing else, so a stored
    /// decision can be repeated.
    pub fn judge(&self, labels: &[Label], scores: &[Probability]) -> Judgment {
        let mut judgment = Judgment { decision: Decision::Allow, label: None };
        let mut strongest: Option<(Decision, Probability)> = None;
        for (label, &score) in labels.iter().zip(scores) {
            let found = (self.of(label).decide(score), score);
            if strongest.is_none_or(|best| (found.0, found.1.get()) > (best.0, best.1.get())) {
                strongest = Some(found);
                judgment = Judgment { decision: found.0, label: Some(label.clone()) };
            }
        }
        judgment
    }
}

impl From<Thresholds> for CommunityThresholds {
    fn from(all: Thresholds) -> Self {
        Self { all, labels: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn p(value: f32) -> Probability {
        Probability::new(value).expect("a probability")
    }

    fn labels() -> Vec<Label> {
        ["hate", "offensive"].map(|label| label.parse().expect("a label")).to_vec()
    }

    #[test]
    fn a_label_may_have_thresholds_of_its_own() {
        let all = Thresholds::new(p(0.5), p(0.95)).expect("in order");
        let mut thresholds = CommunityThresholds::from(all);
        thresholds.labels.insert(labels()[0].clone(), Thresholds::new(p(0.2), p(0.3)).expect("in order"));
        let judged = thresholds.judge(&labels(), &[p(0.3), p(0.9)]);
        assert_eq!(judged, Judgment { decision: Decision::Remove, label: Some(labels()[0].clone()) });
        let judged = thresholds.judge(&labels(), &[p(0.1), p(0.9)]);
        assert_eq!(judged, Judgment { decision: Decision::Review, label: Some(labels()[1].clone()) });
    }

    #[test]
    fn a_review_threshold_above_the_remove_threshold_is_refused() {
        for bad in [r#"{"review": 0.9, "remove": 0.5}"#, r#"{"review": 0.1, "remove": 2}"#] {
            assert!(serde_json::from_str::<CommunityThresholds>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn stored_thresholds_judge_as_before(a in 0f32..=1.0, b in 0f32..=1.0, x in 0f32..=1.0, y in 0f32..=1.0) {
            let thresholds = CommunityThresholds {
                all: Thresholds::new(p(a.min(b)), p(a.max(b))).expect("in order"),
                labels: [(labels()[1].clone(), Thresholds::new(p(b.min(x)), p(b.max(x))).expect("in order"))].into(),
            };
            let json = serde_json::json!(thresholds).to_string();
            let back: CommunityThresholds = serde_json::from_str(&json).expect("reads back");
            prop_assert_eq!(&back, &thresholds);
            prop_assert_eq!(back.judge(&labels(), &[p(x), p(y)]), thresholds.judge(&labels(), &[p(x), p(y)]));
        }
    }
}
