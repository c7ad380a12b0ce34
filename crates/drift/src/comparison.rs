use serde::Serialize;

use crate::{Binned, Ks, Sample, wasserstein_normed};

/// Every distance between two samples of numbers. Agrees with evidently 0.7.23 to 1e-6.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// Numbers in the reference.
    pub reference_items: u64,
    /// Numbers in the current sample.
    pub current_items: u64,
    /// Population stability index.
    pub psi: f64,
    /// Jensen–Shannon distance by natural logarithms.
    pub js_distance: f64,
    /// Jensen–Shannon distance by logarithms to base 2.
    pub js_distance_base2: f64,
    /// Kullback–Leibler divergence in nats.
    pub kl: f64,
    /// Hellinger distance.
    pub hellinger: f64,
    /// Wasserstein distance in standard deviations of the reference.
    pub wasserstein_normed: f64,
    /// Kolmogorov–Smirnov test.
    pub ks: Ks,
}

impl Comparison {
    /// Compares numerical columns.
    pub fn numerical(reference: &Sample, current: &Sample) -> Self {
        let binned = Binned::numerical(reference, current);
        Self {
            reference_items: reference.items(),
            current_items: current.items(),
            psi: binned.psi(),
            js_distance: binned.js_distance(),
            js_distance_base2: binned.js_distance_base2(),
            kl: binned.kl(),
            hellinger: Binned::for_hellinger(reference, current).hellinger(),
            wasserstein_normed: wasserstein_normed(reference, current),
            ks: Ks::test(reference, current),
        }
    }
}
