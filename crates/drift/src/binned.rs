use statrs::distribution::{ChiSquared, ContinuousCDF};

use crate::Sample;
use crate::sample::aligned;

/// Up to this many different values in the reference, evidently compares values instead of bins.
const VALUES_COMPARED_ONE_BY_ONE: usize = 20;

/// An empty bin gets this share before logarithms are taken; see [`filled`].
const FILL: f64 = 1e-4;

/// The chi-square approximation needs about this many expected items in a bin (Cochran 1954).
const EXPECTED: f64 = 5.0;

/// Counts of a reference and of a current sample over the same bins or categories.
///
/// Which bins are chosen, and how empty ones are treated, is as in evidently 0.7.23
/// (`legacy/calculations/stattests/utils.py`, `get_binned_data`), so that numbers can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binned {
    reference: Vec<u64>,
    current: Vec<u64>,
}

impl Binned {
    /// As evidently bins a numerical column: Sturges' bins over both samples together, or value by value
    /// where the reference has at most 20 different ones.
    pub fn numerical(reference: &Sample, current: &Sample) -> Self {
        if reference.distinct() > VALUES_COMPARED_ONE_BY_ONE {
            Self::sturges(reference, current, reference.items() + current.items())
        } else {
            Self::by_value(reference, current)
        }
    }

    /// As evidently bins a categorical column: every value is a category.
    pub fn by_value(reference: &Sample, current: &Sample) -> Self {
        let rows = aligned(reference, current);
        Self {
            reference: rows.iter().map(|row| row.1).collect(),
            current: rows.iter().map(|row| row.2).collect(),
        }
    }

    /// As evidently bins for the Hellinger distance of a numerical column: Sturges' bins for the number
    /// of different values.
    pub fn for_hellinger(reference: &Sample, current: &Sample) -> Self {
        Self::sturges(reference, current, aligned(reference, current).len() as u64)
    }

    /// Counts of the same categories, in the same order. `None` when there are none, or none counted on
    /// one side, or the lists differ in length.
    pub fn of_counts(reference: &[u64], current: &[u64]) -> Option<Self> {
        let comparable = reference.len() == current.len()
            && [reference, current].iter().all(|counts| counts.iter().any(|count| *count > 0));
        // A category that occurs nowhere is none: filling it would add a bin.
        let seen = || reference.iter().zip(current).filter(|(r, c)| **r + **c > 0);
        comparable.then(|| Self {
            reference: seen().map(|(r, _)| *r).collect(),
            current: seen().map(|(_, c)| *c).collect(),
        })
    }

    /// Population stability index: Σ (r - c) · ln(r / c) over shares, empty bins filled.
    pub fn psi(&self) -> f64 {
        let (reference, current) = (filled(&self.reference), filled(&self.current));
        reference.iter().zip(&current).map(|(r, c)| (r - c) * (r / c).ln()).sum()
    }

    /// Kullback–Leibler divergence of the reference from the current sample, in nats: Σ r · ln(r / c), empty
    /// bins filled and shares normed again (as `scipy.stats.entropy`).
    pub fn kl(&self) -> f64 {
        let (reference, current) = (normed(filled(&self.reference)), normed(filled(&self.current)));
        reference.iter().zip(&current).map(|(r, c)| relative_entropy(*r, *c)).sum::<f64>().max(0.0)
    }

    /// Jensen–Shannon distance, the square root of the divergence, by natural logarithms: 0 to √ln 2.
    pub fn js_distance(&self) -> f64 {
        let (reference, current) = (shares(&self.reference), shares(&self.current));
        let halves = reference.iter().zip(&current).map(|(r, c)| {
            let middle = (r + c) / 2.0;
            relative_entropy(*r, middle) + relative_entropy(*c, middle)
        });
        (halves.sum::<f64>().max(0.0) / 2.0).sqrt()
    }

    /// Jensen–Shannon distance by logarithms to base 2: 0 to 1.
    pub fn js_distance_base2(&self) -> f64 {
        self.js_distance() / std::f64::consts::LN_2.sqrt()
    }

    /// Hellinger distance, 0 to 1: √(1 - Σ √(r · c)).
    pub fn hellinger(&self) -> f64 {
        let (reference, current) = (shares(&self.reference), shares(&self.current));
        let overlap: f64 = reference.iter().zip(&current).map(|(r, c)| (r * c).sqrt()).sum();
        (1.0 - overlap.clamp(0.0, 1.0)).sqrt()
    }

    /// p value of Pearson's chi-square test that both samples come from one distribution. Neighbouring bins
    /// are put together until each is expected to hold 5 items on both sides; 1 where only one is left.
    pub fn homogeneity_p(&self) -> f64 {
        let pooled = self.pooled();
        let (n, m) = (total(&pooled.reference), total(&pooled.current));
        let statistic: f64 = pooled
            .reference
            .iter()
            .zip(&pooled.current)
            .map(|(r, c)| {
                let share = (r + c) as f64 / (n + m);
                (*r as f64 - share * n).powi(2) / (share * n) + (*c as f64 - share * m).powi(2) / (share * m)
            })
            .sum();
        let freedom = pooled.reference.len() as f64 - 1.0;
        // One bin has no degree of freedom, and nothing in it can differ.
        ChiSquared::new(freedom).map_or(1.0, |chi| chi.sf(statistic))
    }

    fn pooled(&self) -> Self {
        let (n, m) = (total(&self.reference), total(&self.current));
        let enough = |r: u64, c: u64| (r + c) as f64 * n.min(m) / (n + m) >= EXPECTED;
        let mut pooled = Self { reference: Vec::new(), current: Vec::new() };
        let mut open = (0, 0);
        for (r, c) in self.reference.iter().zip(&self.current) {
            open = (open.0 + r, open.1 + c);
            if enough(open.0, open.1) {
                pooled.reference.push(open.0);
                pooled.current.push(open.1);
                open = (0, 0);
            }
        }
        // What is left over at the end joins the bin before it.
        if let (Some(r), Some(c)) = (pooled.reference.last_mut(), pooled.current.last_mut()) {
            *r += open.0;
            *c += open.1;
        }
        pooled
    }

    /// `numpy.histogram` over `numpy.histogram_bin_edges(bins="sturges")` for `n` numbers.
    fn sturges(reference: &Sample, current: &Sample, n: u64) -> Self {
        let edges = sturges_edges(reference.min().min(current.min()), reference.max().max(current.max()), n);
        Self { reference: histogram(reference, &edges), current: histogram(current, &edges) }
    }
}

/// The category whose share changed most, its share in the reference and in the current counts. Of equal
/// changes the last one: what one category gains another loses. `None` when either side counts nothing.
pub fn largest_share_change(reference: &[u64], current: &[u64]) -> Option<(usize, f64, f64)> {
    if total(reference) == 0.0 || total(current) == 0.0 {
        return None;
    }
    let changes = shares(reference).into_iter().zip(shares(current)).enumerate();
    // Rounded, so that equal changes are equal whatever the last bit says.
    let size = |r: f64, c: f64| ((c - r).abs() * 1e9).round();
    changes
        .map(|(category, (r, c))| (category, r, c))
        .max_by(|a, b| size(a.1, a.2).total_cmp(&size(b.1, b.2)))
}

/// The same operations in the same order as numpy, so that a number on an edge falls on the same side.
fn sturges_edges(min: f64, max: f64, n: u64) -> Vec<f64> {
    let width = (max - min) / ((n as f64).log2() + 1.0);
    if width == 0.0 {
        return vec![min - 0.5, max + 0.5];
    }
    let bins = ((max - min) / width).ceil() as usize;
    let step = (max - min) / bins as f64;
    let mut edges: Vec<f64> = (0..=bins).map(|i| i as f64 * step + min).collect();
    edges[bins] = max;
    edges
}

/// Every bin holds its left edge, the last one its right edge too.
fn histogram(sample: &Sample, edges: &[f64]) -> Vec<u64> {
    let mut counts = vec![0; edges.len() - 1];
    let last = counts.len() - 1;
    for (value, count) in sample.points() {
        let bin = edges.partition_point(|edge| edge <= value).saturating_sub(1);
        counts[bin.min(last)] += count;
    }
    counts
}

fn total(counts: &[u64]) -> f64 {
    counts.iter().sum::<u64>() as f64
}

fn shares(counts: &[u64]) -> Vec<f64> {
    let total = total(counts);
    counts.iter().map(|count| *count as f64 / total).collect()
}

/// Shares in which an empty bin counts as 0.0001, or as a millionth of the smallest other share where that
/// is no larger than 0.0001. The sum then passes 1, as in evidently.
fn filled(counts: &[u64]) -> Vec<f64> {
    let mut shares = shares(counts);
    let smallest = shares.iter().copied().filter(|share| *share > 0.0).fold(f64::INFINITY, f64::min);
    let fill = if smallest <= FILL { smallest / 1e6 } else { FILL };
    shares.iter_mut().filter(|share| **share == 0.0).for_each(|share| *share = fill);
    shares
}

fn normed(mut shares: Vec<f64>) -> Vec<f64> {
    let sum: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
    shares
}

fn relative_entropy(p: f64, q: f64) -> f64 {
    if p > 0.0 { p * (p / q).ln() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_two_categories() {
        let decisions = Binned::of_counts(&[180, 20], &[160, 40]).expect("counts");
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        close(decisions.psi(), 0.081093);
        close(decisions.js_distance(), 0.099832);
        close(decisions.js_distance_base2(), 0.119910);
        close(decisions.hellinger(), 0.100252);
        // scipy.stats.chi2_contingency([[180, 20], [160, 40]], correction=False)
        close(decisions.homogeneity_p(), 0.005101);
    }

    #[test]
    fn the_largest_change_of_a_share_is_named() {
        assert_eq!(largest_share_change(&[180, 20, 0], &[160, 40, 0]), Some((1, 0.1, 0.2)));
        assert_eq!(largest_share_change(&[90, 10, 0], &[20, 15, 5]), Some((0, 0.9, 0.5)));
        assert_eq!(largest_share_change(&[1, 0], &[0, 0]), None);
    }

    #[test]
    fn counts_that_do_not_belong_together_are_no_comparison() {
        assert_eq!(Binned::of_counts(&[1, 2], &[1, 2, 3]), None);
        assert_eq!(Binned::of_counts(&[1, 2], &[0, 0]), None);
        assert_eq!(Binned::of_counts(&[], &[]), None);
    }

    #[test]
    fn a_category_that_nobody_uses_changes_nothing() {
        let with = Binned::of_counts(&[18, 0, 2], &[16, 0, 4]);
        assert_eq!(with, Binned::of_counts(&[18, 2], &[16, 4]));
    }

    #[test]
    fn bins_too_thin_for_the_test_are_put_together() {
        let one = Binned::of_counts(&[1000, 3, 2], &[12, 1, 0]).expect("counts");
        assert_eq!(one.homogeneity_p(), 1.0);
        let tail = Binned::of_counts(&[900, 50, 50, 50], &[500, 70, 70, 70]).expect("counts");
        assert!(tail.homogeneity_p() < 1e-6);
    }
}
