//! What holds for every sample.

use std::collections::{BTreeMap, HashSet};

use modloop_domain::{Community, ItemId};
use modloop_sampling::{Band, Candidate, GoldShare, NearDuplicates, Plan, allocate, sample};
use proptest::prelude::*;

struct Pool {
    names: Vec<ItemId>,
    communities: Vec<Community>,
    texts: Vec<String>,
    scores: Vec<f32>,
}

impl Pool {
    fn new(items: &[(usize, f32, u16)]) -> Self {
        Self {
            names: (0..items.len()).map(|n| format!("t1_{n}").parse().expect("a id")).collect(),
            communities: items.iter().map(|(s, ..)| format!("sub{s}").parse().expect("a name")).collect(),
            texts: items.iter().map(|(_, _, t)| format!("text number {t} about word{t}")).collect(),
            scores: items.iter().map(|(_, score, _)| *score).collect(),
        }
    }

    fn candidates(&self) -> Vec<Candidate<'_>> {
        (0..self.names.len())
            .map(|n| Candidate {
                id: &self.names[n],
                community: &self.communities[n],
                text: &self.texts[n],
                top_score: self.scores[n],
                review: 0.5,
                remove: 0.95,
                drifted: self.communities[n].name().as_str() == "sub1",
            })
            .collect()
    }
}

fn plan(size: usize) -> Plan<'static> {
    Plan { size, gold: GoldShare::new(0.3).expect("a share"), seed: "run-1" }
}

fn items() -> impl Strategy<Value = Vec<(usize, f32, u16)>> {
    proptest::collection::vec((0usize..4, 0f32..=1.0, 0u16..400), 0..300)
}

proptest! {
    #[test]
    fn a_sample_is_as_large_as_can_be_without_repeats_or_near_duplicates(items in items(), size in 0usize..150) {
        let pool = Pool::new(&items);
        let candidates = pool.candidates();
        let chosen = sample(&candidates, plan(size));
        let different = items.iter().map(|(_, _, text)| text).collect::<HashSet<_>>().len();
        prop_assert_eq!(chosen.len(), size.min(different));
        let mut texts = NearDuplicates::default();
        prop_assert!(chosen.iter().all(|c| texts.add(candidates[c.index].text)));
    }

    #[test]
    fn weights_add_up_to_all_items_of_the_strata_that_were_seen(items in items()) {
        let pool = Pool::new(&items);
        let candidates = pool.candidates();
        let (all, some) = (sample(&candidates, plan(usize::MAX)), sample(&candidates, plan(60)));
        let mut sizes: BTreeMap<String, f64> = BTreeMap::new();
        for c in &all {
            *sizes.entry(c.stratum.to_string()).or_default() += 1.0;
        }
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        for c in &some {
            prop_assert!(c.weight >= 1.0);
            *sums.entry(c.stratum.to_string()).or_default() += c.weight;
        }
        for (stratum, sum) in sums {
            prop_assert!((sum - sizes[&stratum]).abs() < 1e-6, "{}: {} {}", stratum, sum, sizes[&stratum]);
        }
    }

    #[test]
    fn the_same_candidates_in_any_order_give_the_same_sample(items in items(), turn in 0usize..300) {
        let pool = Pool::new(&items);
        let candidates = pool.candidates();
        let names = |candidates: &[Candidate<'_>]| {
            let mut names: Vec<String> =
                sample(candidates, plan(50)).iter().map(|c| candidates[c.index].text.to_owned()).collect();
            names.sort();
            names
        };
        let mut turned = candidates.clone();
        turned.rotate_left(turn % candidates.len().max(1));
        prop_assert_eq!(names(&candidates), names(&turned));
    }

    #[test]
    fn gold_items_stay_gold_when_the_share_grows(n in 0u32..100_000, a in 0.01f64..0.99, b in 0.01f64..0.99) {
        let item: ItemId = format!("t3_{n}").parse().expect("a id");
        let holds = |share: f64| GoldShare::new(share).expect("a share").holds(&item);
        prop_assert!(!holds(a.min(b)) || holds(a.max(b)));
    }

    #[test]
    fn nothing_is_allocated_that_is_not_there(total in 0usize..500, strata in proptest::collection::vec((0usize..200, 0.5f64..6.0), 0..12)) {
        let taken = allocate(total, &strata);
        prop_assert!(taken.iter().zip(&strata).all(|(taken, (size, _))| taken <= size));
        let there: usize = strata.iter().map(|(size, _)| size).sum();
        prop_assert!(taken.iter().sum::<usize>() <= total.min(there));
    }
}

#[test]
fn gold_is_about_the_share_that_was_asked_for() {
    let share = GoldShare::new(0.3).expect("a share");
    let gold = (0..10_000).filter(|n| share.holds(&format!("t1_{n}").parse().expect("a id"))).count();
    assert!((2800..3200).contains(&gold), "{gold} of 10000");
}

#[test]
fn unsure_items_and_drifted_subreddits_come_up_more_often() {
    // 1000 clear and 1000 unsure items in each of two communities, the second of which drifted.
    let items: Vec<_> =
        (0..4000_u16).map(|n| (usize::from(n % 2), if n % 4 < 2 { 0.05 } else { 0.5 }, n)).collect();
    let mut pool = Pool::new(&items);
    pool.texts = (0..4000).map(|n| format!("word{n} and then word{} or word{}", n * 7, n * 13)).collect();
    let candidates = pool.candidates();
    let chosen = sample(&candidates, plan(800));
    let count = |sub: &str, band: Band| {
        chosen.iter().filter(|c| c.stratum.community.name().as_str() == sub && c.stratum.band == band).count()
    };
    assert!(count("sub0", Band::NearReview) > count("sub0", Band::Clear) * 3 / 2);
    assert!(count("sub1", Band::Clear) > count("sub0", Band::Clear) * 2);
    assert_eq!(chosen.len(), 800);
}
