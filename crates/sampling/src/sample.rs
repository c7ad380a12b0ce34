use std::collections::BTreeMap;

use modloop_domain::{Community, ItemId};

use crate::gold::unit;
use crate::{Band, GoldShare, NearDuplicates, Stratum, allocate};

/// How much more an item of a community that drifted is worth.
const DRIFTED: f64 = 3.0;

/// An item that may be labeled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate<'a> {
    /// Reddit's key.
    pub id: &'a ItemId,
    /// Where it was posted.
    pub community: &'a Community,
    /// What was scored.
    pub text: &'a str,
    /// The highest score over all labels.
    pub top_score: f32,
    /// From this score on a moderator looks.
    pub review: f32,
    /// From this score on it is taken down.
    pub remove: f32,
    /// Whether the community drifted.
    pub drifted: bool,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan<'a> {
    /// Items, at most.
    pub size: usize,
    /// Which of them are gold.
    pub gold: GoldShare,
    /// The same seed and candidates give the same sample.
    pub seed: &'a str,
}

/// An item that was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// Its place among the candidates.
    pub index: usize,
    /// What it was sampled with.
    pub stratum: Stratum,
    /// How many items of its stratum it stands for: their number over the number chosen.
    pub weight: f64,
    /// Never to be trained on.
    pub gold: bool,
}

/// Chooses items to label. Of near-duplicates one is kept, and the others count as if they were not there.
pub fn sample(candidates: &[Candidate<'_>], plan: Plan<'_>) -> Vec<Chosen> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    let chance = |i: usize| unit(plan.seed, candidates[i].id.as_str());
    order.sort_by(|&a, &b| chance(a).total_cmp(&chance(b)));
    let mut seen = NearDuplicates::default();
    let mut strata: BTreeMap<Stratum, Vec<usize>> = BTreeMap::new();
    for index in order {
        let candidate = &candidates[index];
        if seen.add(candidate.text) {
            strata.entry(stratum(candidate)).or_default().push(index);
        }
    }
    let sizes: Vec<(usize, f64)> =
        strata.iter().map(|(stratum, items)| (items.len(), importance(stratum, candidates, items))).collect();
    let taken = allocate(plan.size, &sizes);
    let chosen = strata.into_iter().zip(taken).flat_map(|((stratum, items), taken)| {
        let weight = items.len() as f64 / taken.max(1) as f64;
        items.into_iter().take(taken).map(move |index| {
            let gold = plan.gold.holds(candidates[index].id);
            Chosen { index, stratum: stratum.clone(), weight, gold }
        })
    });
    chosen.collect()
}

fn stratum(candidate: &Candidate<'_>) -> Stratum {
    let band = Band::of(candidate.top_score, candidate.review, candidate.remove);
    Stratum { community: candidate.community.clone(), band }
}

fn importance(stratum: &Stratum, candidates: &[Candidate<'_>], items: &[usize]) -> f64 {
    let drifted = items.iter().any(|&index| candidates[index].drifted);
    stratum.band.importance() * if drifted { DRIFTED } else { 1.0 }
}
