//! Platt scaling: the line through logits whose sigmoid fits the truth best (Platt 1999, with the Newton
//! iteration of Lin, Lin and Weng 2007).

/// A logit and whether the label is truly there.
pub type Observation = (f32, bool);

/// Iterations; a handful suffices, more means that the data has no finite optimum left to find.
const MOST_ITERATIONS: usize = 100;

/// Slope and intercept that maximise the likelihood of the observations.
///
/// Truth is softened to (n₊ + 1)/(n₊ + 2) and 1/(n₋ + 2), as Platt does, so that a perfectly separating
/// logit still has a finite slope.
pub fn fit(observations: &[Observation]) -> (f64, f64) {
    let positives = observations.iter().filter(|(_, truth)| *truth).count() as f64;
    let negatives = observations.len() as f64 - positives;
    let (high, low) = ((positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0));
    let targets: Vec<(f64, f64)> =
        observations.iter().map(|(x, truth)| (f64::from(*x), if *truth { high } else { low })).collect();

    let mut line = (0.0, ((positives + 1.0) / (negatives + 1.0)).ln());
    let mut loss = cross_entropy(&targets, line);
    for _ in 0..MOST_ITERATIONS {
        let Some((better, lower)) = improved(&targets, line, loss) else { break };
        (line, loss) = (better, lower);
    }
    line
}

/// The line after one Newton step, halved until it lowers the loss; `None` when none does.
fn improved(targets: &[(f64, f64)], line: (f64, f64), loss: f64) -> Option<((f64, f64), f64)> {
    let (d_slope, d_intercept) = newton_step(targets, line);
    let mut share = 1.0;
    while share > 1e-10 {
        let next = (line.0 - share * d_slope, line.1 - share * d_intercept);
        let lower = cross_entropy(targets, next);
        if lower < loss - 1e-12 {
            return Some((next, lower));
        }
        share /= 2.0;
    }
    None
}

/// Inverse Hessian times gradient of the cross entropy.
fn newton_step(targets: &[(f64, f64)], line: (f64, f64)) -> (f64, f64) {
    // Keeps the Hessian invertible where the sigmoid is flat.
    let ridge = 1e-12;
    let (mut h11, mut h22, mut h12, mut g1, mut g2) = (ridge, ridge, 0.0, 0.0, 0.0);
    for (x, target) in targets {
        let p = sigmoid(line.0 * x + line.1);
        let (weight, error) = (p * (1.0 - p), p - target);
        h11 += x * x * weight;
        h22 += weight;
        h12 += x * weight;
        g1 += x * error;
        g2 += error;
    }
    let determinant = h11 * h22 - h12 * h12;
    ((h22 * g1 - h12 * g2) / determinant, (h11 * g2 - h12 * g1) / determinant)
}

fn cross_entropy(targets: &[(f64, f64)], line: (f64, f64)) -> f64 {
    // ln(1 + eᶻ) − t·z, written so that a large z does not overflow.
    let term = |(x, target): &(f64, f64)| {
        let z = line.0 * x + line.1;
        z.max(0.0) + (-z.abs()).exp().ln_1p() - target * z
    };
    targets.iter().map(term).sum()
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Observations whose share of positives at each logit is exactly the sigmoid of a line.
    fn drawn_from(slope: f64, intercept: f64) -> Vec<Observation> {
        let logits = (-20..=20).map(|i| i as f32 / 5.0);
        logits
            .flat_map(|x| {
                let positives = (sigmoid(slope * f64::from(x) + intercept) * 1000.0).round() as usize;
                (0..1000).map(move |i| (x, i < positives))
            })
            .collect()
    }

    #[test]
    fn the_line_that_made_the_data_is_found() {
        for (slope, intercept) in [(1.0, 0.0), (0.5, -2.0), (2.0, 1.0)] {
            let (a, b) = fit(&drawn_from(slope, intercept));
            assert!((a - slope).abs() < 0.01 && (b - intercept).abs() < 0.01, "{a} {b}");
        }
    }

    #[test]
    fn separated_data_has_a_finite_slope() {
        let (slope, intercept) = fit(&[(-5.0, false), (-4.0, false), (4.0, true), (5.0, true)]);
        assert!(slope > 0.0 && slope.is_finite() && intercept.is_finite(), "{slope} {intercept}");
    }

    #[test]
    fn logits_that_mislead_have_a_negative_slope() {
        assert!(fit(&[(1.0, false), (2.0, false), (-1.0, true), (-2.0, true)]).0 < 0.0);
    }

    proptest! {
        #[test]
        fn no_line_nearby_fits_better(
            observations in proptest::collection::vec((-6f32..6.0, any::<bool>()), 10..80),
            da in -0.2f64..0.2, db in -0.2f64..0.2,
        ) {
            let positives = observations.iter().filter(|(_, t)| *t).count() as f64;
            let negatives = observations.len() as f64 - positives;
            let (high, low) = ((positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0));
            let targets: Vec<_> =
                observations.iter().map(|(x, t)| (f64::from(*x), if *t { high } else { low })).collect();
            let line = fit(&observations);
            let moved = (line.0 + da, line.1 + db);
            prop_assert!(cross_entropy(&targets, line) <= cross_entropy(&targets, moved) + 1e-6);
        }
    }
}
