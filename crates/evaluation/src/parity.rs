use serde::Serialize;

use crate::decided::Decided;

/// How far the served graph is from fp32 on the same texts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parity {
    /// Texts compared.
    pub items: usize,
    /// Texts on which the two decide differently.
    pub decision_flips: usize,
    /// Largest difference of a score.
    pub largest_difference: f64,
    /// Mean difference of a score.
    pub mean_difference: f64,
}

/// Compares text by text.
pub(crate) fn compare(served: &[Decided], exact: &[Decided]) -> Parity {
    let pairs = || served.iter().zip(exact);
    let differences: Vec<f64> = pairs()
        .flat_map(|(a, b)| a.scores.iter().zip(&b.scores))
        .map(|(a, b)| f64::from((a.get() - b.get()).abs()))
        .collect();
    Parity {
        items: pairs().count(),
        decision_flips: pairs().filter(|(a, b)| a.decision != b.decision).count(),
        largest_difference: differences.iter().copied().fold(0.0, f64::max),
        mean_difference: differences.iter().sum::<f64>() / differences.len().max(1) as f64,
    }
}

#[cfg(test)]
mod tests {
    use modloop_domain::{Decision, Probability};

    use super::*;

    #[test]
    fn flips_and_differences_are_counted() {
        let decided = |scores: [f32; 2], decision| {
            let p = |value| Probability::new(value).expect("a probability");
            Decided { scores: scores.map(p).to_vec(), decision }
        };
        let served = [decided([0.5, 0.125], Decision::Review), decided([0.25, 0.25], Decision::Allow)];
        let exact = [decided([0.25, 0.125], Decision::Allow), decided([0.25, 0.25], Decision::Allow)];
        let parity = compare(&served, &exact);
        assert_eq!((parity.items, parity.decision_flips), (2, 1));
        assert_eq!((parity.largest_difference, parity.mean_difference), (0.25, 0.0625));
    }
}
