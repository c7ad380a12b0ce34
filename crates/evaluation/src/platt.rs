//! Platt scaling: the line through logits whose sigmoid fits the truth best (Platt 1999, with the Newton
//! iteration of Lin, Lin and Weng 2007), or, where few lines are at hand, the best line given another one.

use modloop_bundle::Calibration;

/// What one line of the validation set says about a label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Before calibration.
    pub logit: f32,
    /// Whether the label is truly there.
    pub truth: bool,
    /// How many lines it counts for.
    pub weight: f64,
}

/// A prior weighs as much as this many lines.
///
/// A retraining brings some dozen new lines, most of them far from the threshold: they move a calibration a
/// little. Against the thousands of a full validation set the prior is not felt.
pub const PRIOR_LINES: f64 = 100.0;
/// The prior's lines lie where it gives these probabilities, 1/20 to 19/20: where decisions are made.
const PRIOR_POINTS: u32 = 19;

/// Iterations; a handful suffices, more means that the data has no finite optimum left to find.
const MAX_ITERATIONS: usize = 100;

/// A logit, the share of positives there, and how many lines say so.
type Target = (f64, f64, f64);

/// Slope and intercept that maximise the likelihood of the observations.
///
/// Truth is softened to (n₊ + 1)/(n₊ + 2) and 1/(n₋ + 2), as Platt does, so that a perfectly separating
/// logit still has a finite slope.
pub fn fit(observations: &[Observation]) -> (f64, f64) {
    let count = |has: bool| observations.iter().filter(|o| o.truth == has).map(|o| o.weight).sum::<f64>();
    let (positives, negatives) = (count(true), count(false));
    let (high, low) = ((positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0));
    let targets: Vec<Target> = observations
        .iter()
        .map(|o| (f64::from(o.logit), if o.truth { high } else { low }, o.weight))
        .collect();
    minimise(&targets, (0.0, ((positives + 1.0) / (negatives + 1.0)).ln()))
}

/// Slope and intercept that are most probable after the observations, when `prior` was believed before.
///
/// The prior speaks as [`PRIOR_LINES`] lines whose share of positives is exactly what it claims: the
/// conditional means prior of Bedrick, Christensen and Johnson (1996). Without observations the result is
/// the prior.
pub fn fit_after(prior: Calibration, observations: &[Observation]) -> (f64, f64) {
    let line = (prior.slope(), prior.intercept());
    let claimed = (1..=PRIOR_POINTS).map(|point| {
        let p = f64::from(point) / f64::from(PRIOR_POINTS + 1);
        (((p / (1.0 - p)).ln() - line.1) / line.0, p, PRIOR_LINES / f64::from(PRIOR_POINTS))
    });
    let observed = observations.iter().map(|o| (f64::from(o.logit), f64::from(u8::from(o.truth)), o.weight));
    minimise(&claimed.chain(observed).collect::<Vec<_>>(), line)
}

/// The line of least cross entropy, searched from `line`.
fn minimise(targets: &[Target], mut line: (f64, f64)) -> (f64, f64) {
    let mut loss = cross_entropy(targets, line);
    for _ in 0..MAX_ITERATIONS {
        let Some((better, lower)) = improved(targets, line, loss) else { break };
        (line, loss) = (better, lower);
    }
    line
}

/// The line after one Newton step, halved until it lowers the loss; `None` when none does.
fn improved(targets: &[Target], line: (f64, f64), loss: f64) -> Option<((f64, f64), f64)> {
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
fn newton_step(targets: &[Target], line: (f64, f64)) -> (f64, f64) {
    // Keeps the Hessian invertible where the sigmoid is flat.
    let ridge = 1e-12;
    let (mut h11, mut h22, mut h12, mut g1, mut g2) = (ridge, ridge, 0.0, 0.0, 0.0);
    for (x, target, lines) in targets {
        let p = sigmoid(line.0 * x + line.1);
        let (weight, error) = (lines * p * (1.0 - p), lines * (p - target));
        h11 += x * x * weight;
        h22 += weight;
        h12 += x * weight;
        g1 += x * error;
        g2 += error;
    }
    let determinant = h11 * h22 - h12 * h12;
    ((h22 * g1 - h12 * g2) / determinant, (h11 * g2 - h12 * g1) / determinant)
}

fn cross_entropy(targets: &[Target], line: (f64, f64)) -> f64 {
    // ln(1 + eᶻ) − t·z, written so that a large z does not overflow.
    let term = |(x, target, lines): &Target| {
        let z = line.0 * x + line.1;
        lines * (z.max(0.0) + (-z.abs()).exp().ln_1p() - target * z)
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

    fn one(logit: f32, truth: bool) -> Observation {
        Observation { logit, truth, weight: 1.0 }
    }

    /// Observations whose share of positives at each logit is exactly the sigmoid of a line.
    fn drawn_from(slope: f64, intercept: f64) -> Vec<Observation> {
        let logits = (-20..=20).map(|i| i as f32 / 5.0);
        logits
            .flat_map(|x| {
                let positives = (sigmoid(slope * f64::from(x) + intercept) * 1000.0).round() as usize;
                (0..1000).map(move |i| one(x, i < positives))
            })
            .collect()
    }

    fn calibration(slope: f64, intercept: f64) -> Calibration {
        Calibration::new(slope, intercept).expect("a rising line")
    }

    #[test]
    fn the_line_that_made_the_data_is_found() {
        for (slope, intercept) in [(1.0, 0.0), (0.5, -2.0), (2.0, 1.0)] {
            let data = drawn_from(slope, intercept);
            for (a, b) in [fit(&data), fit_after(calibration(1.3, 0.5), &data)] {
                // A hundred lines of a prior move forty thousand by very little.
                assert!((a - slope).abs() < 0.02 && (b - intercept).abs() < 0.02, "{a} {b}");
            }
        }
    }

    #[test]
    fn separated_data_has_a_finite_slope() {
        let data = [one(-5.0, false), one(-4.0, false), one(4.0, true), one(5.0, true)];
        let (slope, intercept) = fit(&data);
        assert!(slope > 0.0 && slope.is_finite() && intercept.is_finite(), "{slope} {intercept}");
    }

    #[test]
    fn logits_that_mislead_have_a_negative_slope() {
        assert!(fit(&[one(1.0, false), one(2.0, false), one(-1.0, true), one(-2.0, true)]).0 < 0.0);
    }

    #[test]
    fn a_line_that_weighs_three_is_three_lines() {
        let lines = [one(-1.0, false), one(0.5, true), one(0.7, false), one(2.0, true)];
        let mut thrice = lines.to_vec();
        thrice.extend([lines[2], lines[2]]);
        let mut weighted = lines;
        weighted[2].weight = 3.0;
        let (a, b) = (fit(&thrice), fit(&weighted));
        assert!((a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9, "{a:?} {b:?}");
    }

    #[test]
    fn few_lines_move_a_prior_a_little_and_many_lines_far() {
        let prior = calibration(1.0, 0.0);
        // Every line is harmless at logits where the prior expects one in twelve to be otherwise.
        let harmless = |lines: usize| vec![one(-2.4, false); lines];
        let chance = |(slope, intercept): (f64, f64)| sigmoid(slope * -2.4 + intercept);
        let [few, many] = [60, 6000].map(|lines| chance(fit_after(prior, &harmless(lines))));
        assert!((0.02..0.08).contains(&few), "{few}");
        assert!(many < 0.01, "{many}");
        // The same sixty lines alone are no calibration at all.
        assert!(fit(&harmless(60)).0.abs() < 0.1);
    }

    proptest! {
        #[test]
        fn without_lines_a_prior_stays(slope in 0.2f64..4.0, intercept in -4f64..4.0) {
            let (a, b) = fit_after(calibration(slope, intercept), &[]);
            prop_assert!((a - slope).abs() < 1e-6 && (b - intercept).abs() < 1e-6, "{} {}", a, b);
        }

        #[test]
        fn no_line_nearby_fits_better(
            observations in proptest::collection::vec((-6f32..6.0, any::<bool>(), 0.1f64..4.0), 10..80),
            da in -0.2f64..0.2, db in -0.2f64..0.2,
        ) {
            let targets: Vec<Target> =
                observations.iter().map(|(x, t, w)| (f64::from(*x), if *t { 0.9 } else { 0.1 }, *w)).collect();
            let line = minimise(&targets, (0.0, 0.0));
            let moved = (line.0 + da, line.1 + db);
            prop_assert!(cross_entropy(&targets, line) <= cross_entropy(&targets, moved) + 1e-6);
        }
    }
}
