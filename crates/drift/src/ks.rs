use serde::Serialize;

use crate::Sample;
use crate::kolmogorov::survival;
use crate::sample::aligned;

/// Samples up to this size get the exact p value, as in `scipy.stats.ks_2samp(method="auto")`.
const EXACT_UP_TO: u64 = 10_000;

/// From n·d² = 12 on the p value is below 1e-9 either way, and counting paths is not worth the time.
const CERTAIN: f64 = 12.0;

/// Two-sided Kolmogorov–Smirnov test of two samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ks {
    /// Largest distance between the two distribution functions, 0 to 1.
    pub statistic: f64,
    /// How likely a distance at least as large is when nothing has changed. With ties it is too high.
    pub p: f64,
}

impl Ks {
    /// Statistic and p value. Both agree with `scipy.stats.ks_2samp`, which evidently calls.
    pub fn test(reference: &Sample, current: &Sample) -> Self {
        let statistic = ks_statistic(reference, current);
        Self { statistic, p: p_value(statistic, reference.items(), current.items()) }
    }
}

/// The statistic alone.
pub fn ks_statistic(reference: &Sample, current: &Sample) -> f64 {
    let (n, m) = (reference.items() as f64, current.items() as f64);
    let (mut below, mut below_current) = (0, 0);
    let mut largest = 0.0_f64;
    for (_, count, count_current) in aligned(reference, current) {
        below += count;
        below_current += count_current;
        largest = largest.max((below as f64 / n - below_current as f64 / m).abs());
    }
    largest
}

fn p_value(statistic: f64, n: u64, m: u64) -> f64 {
    let effective = n as f64 * m as f64 / (n + m) as f64;
    if n.max(m) > EXACT_UP_TO || effective * statistic * statistic > CERTAIN {
        // Half to even, as numpy rounds.
        return survival(effective.round_ties_even().max(1.0) as u64, statistic);
    }
    let lcm = n / gcd(n, m) * m;
    let height = (statistic * lcm as f64).round_ties_even() as u64;
    if height == 0 { 1.0 } else { outside(n.max(m), n.min(m), height).clamp(0.0, 1.0) }
}

/// The share of lattice paths from (0, 0) to (m, n) that reach |x/m - y/n| ≥ height / lcm(m, n), which is
/// the exact p value without ties (Hodges 1958).
///
/// Row by row over y, `reached[y]` is the share among paths to (x, y). Outside the band it is 1, so only
/// the band is stored.
fn outside(m: u64, n: u64, height: u64) -> f64 {
    let g = gcd(m, n);
    let (m_g, n_g) = ((m / g) as i64, (n / g) as i64);
    let (height, n) = (height as i64, n as i64);
    let first_inside = |x: i64| ((n_g * x - height).div_euclid(m_g) + 1).clamp(0, n);
    let after_inside = |x: i64| (n_g * x + height + m_g - 1).div_euclid(m_g).min(n + 1);
    let mut reached = vec![1.0_f64; n as usize + 1];
    reached[..after_inside(0) as usize].fill(0.0);
    for x in 1..=m as i64 {
        let (from, to) = (first_inside(x), after_inside(x));
        if from > 0 {
            reached[from as usize - 1] = 1.0;
        }
        let mut before = if from == 0 { 0.0 } else { 1.0 };
        for y in from..to {
            let cell = &mut reached[y as usize];
            before = (*cell * x as f64 + before * y as f64) / (x + y) as f64;
            *cell = before;
        }
    }
    reached[n as usize]
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_case_takes_no_time_to_speak_of() {
        let ends = Sample::weighted([(0.0, 9_999), (1.0, 1)]).expect("numbers");
        let other = Sample::weighted([(0.0, 1), (1.0, 9_999)]).expect("numbers");
        assert!(Ks::test(&ends, &other).p < 1e-9);
    }

    #[test]
    fn small_samples_are_counted_out() {
        // Of the C(4,2) = 6 orders of 2 and 2 numbers two are fully apart.
        let apart =
            Ks::test(&Sample::of([1.0, 2.0]).expect("numbers"), &Sample::of([3.0, 4.0]).expect("numbers"));
        assert_eq!(apart.statistic, 1.0);
        assert!((apart.p - 1.0 / 3.0).abs() < 1e-12);
    }
}
