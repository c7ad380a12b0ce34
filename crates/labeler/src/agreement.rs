use std::collections::BTreeMap;

use modloop_domain::Label;

/// How often the labeler and people say the same of one label, where both have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Agreement {
    /// Both say that it applies.
    pub both: u64,
    /// Only the labeler does.
    pub labeler_only: u64,
    /// Only people do.
    pub human_only: u64,
    /// Neither does.
    pub neither: u64,
}

impl Agreement {
    /// Counts one more item.
    pub fn add(&mut self, labeler: bool, human: bool) {
        let count = match (labeler, human) {
            (true, true) => &mut self.both,
            (true, false) => &mut self.labeler_only,
            (false, true) => &mut self.human_only,
            (false, false) => &mut self.neither,
        };
        *count += 1;
    }

    /// Items that both have answered.
    pub fn items(&self) -> u64 {
        self.both + self.labeler_only + self.human_only + self.neither
    }

    /// Share of items with the same answer; `None` without items.
    pub fn share(&self) -> Option<f64> {
        let items = self.items();
        (items > 0).then(|| (self.both + self.neither) as f64 / items as f64)
    }

    /// Cohen's kappa: what is left of the share once chance is taken off. 1 always agrees, 0 is chance, below
    /// is worse. `None` without items, and where both gave one and the same answer throughout: chance alone
    /// explains that, and the measure is not defined (Cohen 1960, "A coefficient of agreement for nominal scales").
    pub fn kappa(&self) -> Option<f64> {
        let items = self.items() as f64;
        let labeler = (self.both + self.labeler_only) as f64;
        let human = (self.both + self.human_only) as f64;
        let by_chance = (labeler * human + (items - labeler) * (items - human)) / (items * items);
        let share = self.share()?;
        (by_chance < 1.0).then(|| (share - by_chance) / (1.0 - by_chance))
    }
}

/// Agreement per label over `(label, the labeler's answer, the people's answer)`.
pub fn agreement(answers: impl IntoIterator<Item = (Label, bool, bool)>) -> BTreeMap<Label, Agreement> {
    let mut found: BTreeMap<Label, Agreement> = BTreeMap::new();
    for (label, labeler, human) in answers {
        found.entry(label).or_default().add(labeler, human);
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn kappa_as_in_the_textbook() {
        // Both yes 20, only the first 5, only the second 10, both no 15: observed 0.7, by chance 0.5.
        let found = Agreement { both: 20, labeler_only: 5, human_only: 10, neither: 15 };
        assert_eq!((found.items(), found.share()), (50, Some(0.7)));
        assert!((found.kappa().expect("defined") - 0.4).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_claimed_where_nothing_can_be_known() {
        assert_eq!((Agreement::default().share(), Agreement::default().kappa()), (None, None));
        let silent = Agreement { neither: 40, ..Agreement::default() };
        assert_eq!((silent.share(), silent.kappa()), (Some(1.0), None));
    }

    #[test]
    fn labels_are_counted_apart() {
        let [hate, offensive] = ["hate", "offensive"].map(|l| l.parse::<Label>().expect("a label"));
        let found = agreement([
            (hate.clone(), true, true),
            (offensive.clone(), true, false),
            (hate.clone(), false, false),
        ]);
        assert_eq!(found[&hate], Agreement { both: 1, neither: 1, ..Agreement::default() });
        assert_eq!(found[&offensive], Agreement { labeler_only: 1, ..Agreement::default() });
    }

    proptest! {
        #[test]
        fn who_is_called_labeler_does_not_matter(both in 0u64..50, a in 0u64..50, b in 0u64..50, neither in 0u64..50) {
            let found = Agreement { both, labeler_only: a, human_only: b, neither };
            let swapped = Agreement { both, labeler_only: b, human_only: a, neither };
            prop_assert_eq!(found.share(), swapped.share());
            match (found.kappa(), swapped.kappa()) {
                (Some(x), Some(y)) => {
                    prop_assert!((x - y).abs() < 1e-9 && (-1.0..=1.0 + 1e-9).contains(&x));
                    // Perfect agreement and only that is 1.
                    prop_assert_eq!((x - 1.0).abs() < 1e-9, a + b == 0);
                }
                (x, y) => prop_assert!(x.is_none() && y.is_none()),
            }
        }
    }
}
