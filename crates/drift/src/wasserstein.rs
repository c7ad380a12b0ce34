use crate::Sample;
use crate::sample::aligned;

/// Deviations below this are taken as this, so that a constant reference divides nothing by zero. As in
/// evidently 0.7.23 (`stattests/wasserstein_distance_norm.py`).
const SMALLEST_DEVIATION: f64 = 0.001;

/// First Wasserstein distance (earth mover's distance): the area between the two distribution functions.
pub fn wasserstein(reference: &Sample, current: &Sample) -> f64 {
    let rows = aligned(reference, current);
    let (n, m) = (reference.items() as f64, current.items() as f64);
    let (mut below, mut below_current) = (0, 0);
    let mut area = 0.0;
    for pair in rows.windows(2) {
        below += pair[0].1;
        below_current += pair[0].2;
        area += (below as f64 / n - below_current as f64 / m).abs() * (pair[1].0 - pair[0].0);
    }
    area
}

/// Wasserstein distance in standard deviations of the reference.
pub fn wasserstein_normed(reference: &Sample, current: &Sample) -> f64 {
    wasserstein(reference, current) / reference.deviation().max(SMALLEST_DEVIATION)
}
