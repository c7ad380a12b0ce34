//! What every distance must obey, whatever the numbers.

use modloop_drift::{Binned, Cbpe, Comparison, Ks, Outcomes, Sample, wasserstein, wasserstein_normed};
use proptest::prelude::*;

/// Small numbers with small counts: ties, repeated values and single points all occur.
fn points() -> impl Strategy<Value = Vec<(f64, u64)>> {
    proptest::collection::vec(((-40i32..40).prop_map(|v| f64::from(v) / 8.0), 1u64..6), 1..60)
}

fn samples() -> impl Strategy<Value = (Sample, Sample)> {
    (points(), points()).prop_map(|(a, b)| (sample(a), sample(b)))
}

fn counts() -> impl Strategy<Value = (Vec<u64>, Vec<u64>)> {
    (1usize..12).prop_flat_map(|n| {
        let side = || proptest::collection::vec(0u64..50, n);
        (side(), side()).prop_filter("something on both sides", |(a, b)| {
            a.iter().sum::<u64>() > 0 && b.iter().sum::<u64>() > 0
        })
    })
}

fn sample(points: Vec<(f64, u64)>) -> Sample {
    Sample::weighted(points).expect("finite numbers")
}

fn mapped(of: &Sample, map: impl Fn(f64) -> f64) -> Sample {
    sample(of.points().iter().map(|(value, count)| (map(*value), *count)).collect())
}

fn distances(c: &Comparison) -> [f64; 7] {
    [c.psi, c.js_distance, c.js_distance_base2, c.kl, c.hellinger, c.wasserstein_normed, c.ks.statistic]
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

proptest! {
    #[test]
    fn distances_are_finite_and_never_negative((a, b) in samples()) {
        let comparison = Comparison::numerical(&a, &b);
        for distance in distances(&comparison) {
            prop_assert!(distance.is_finite() && distance >= 0.0, "{:?}", comparison);
        }
        prop_assert!(comparison.js_distance <= 2f64.ln().sqrt() + 1e-12);
        prop_assert!(comparison.js_distance_base2 <= 1.0 + 1e-12);
        prop_assert!(comparison.hellinger <= 1.0 && comparison.ks.statistic <= 1.0);
        prop_assert!((0.0..=1.0).contains(&comparison.ks.p));
    }

    #[test]
    fn a_sample_is_at_no_distance_from_itself(a in points().prop_map(sample)) {
        let comparison = Comparison::numerical(&a, &a);
        for distance in distances(&comparison) {
            prop_assert!(distance.abs() < 1e-7, "{:?}", comparison);
        }
        prop_assert!(comparison.ks.p > 1.0 - 1e-9);
        prop_assert!(Binned::numerical(&a, &a).homogeneity_p() > 1.0 - 1e-9);
    }

    #[test]
    fn symmetric_distances_do_not_care_who_is_the_reference((a, b) in samples()) {
        prop_assert!(near(wasserstein(&a, &b), wasserstein(&b, &a)));
        let (there, back) = (Ks::test(&a, &b), Ks::test(&b, &a));
        prop_assert!(near(there.statistic, back.statistic) && near(there.p, back.p));
        let (there, back) = (Binned::by_value(&a, &b), Binned::by_value(&b, &a));
        prop_assert!(near(there.psi(), back.psi()));
        prop_assert!(near(there.js_distance(), back.js_distance()));
        prop_assert!(near(there.hellinger(), back.hellinger()));
        prop_assert!(near(there.homogeneity_p(), back.homogeneity_p()));
    }

    #[test]
    fn counts_are_the_same_as_repetition((a, b) in (points(), points())) {
        let repeated = |points: &[(f64, u64)]| {
            let each = points.iter().flat_map(|(value, count)| std::iter::repeat_n(*value, *count as usize));
            Sample::of(each).expect("finite numbers")
        };
        let by_repetition = Comparison::numerical(&repeated(&a), &repeated(&b));
        prop_assert_eq!(Comparison::numerical(&sample(a), &sample(b)), by_repetition);
    }

    #[test]
    fn a_shift_and_a_scale_of_both_change_nothing((a, b) in samples(), shift in -8i32..8, scale in 0u32..5) {
        // Powers of two: exact in binary, so no number slips over the edge of a bin.
        let map = |v: f64| (v + f64::from(shift)) * f64::from(1u32 << scale);
        let (x, y) = (mapped(&a, map), mapped(&b, map));
        prop_assert!(near(Ks::test(&a, &b).statistic, Ks::test(&x, &y).statistic));
        prop_assert!(near(Binned::by_value(&a, &b).psi(), Binned::by_value(&x, &y).psi()));
        prop_assert!(near(wasserstein(&a, &b) * f64::from(1u32 << scale), wasserstein(&x, &y)));
        if a.deviation() > 0.01 {
            prop_assert!(near(wasserstein_normed(&a, &b), wasserstein_normed(&x, &y)));
        }
    }

    #[test]
    fn moving_everything_by_d_is_a_wasserstein_distance_of_d(a in points().prop_map(sample), d in 0i32..40) {
        let d = f64::from(d) / 8.0;
        prop_assert!(near(wasserstein(&a, &mapped(&a, |v| v + d)), d));
    }

    #[test]
    fn wasserstein_obeys_the_triangle_inequality((a, b) in samples(), c in points().prop_map(sample)) {
        prop_assert!(wasserstein(&a, &c) <= wasserstein(&a, &b) + wasserstein(&b, &c) + 1e-9);
    }

    #[test]
    fn a_larger_distance_is_never_more_likely_by_chance(n in 1u64..40, m in 1u64..40, at in 0u64..40) {
        let step = |k: u64| {
            let moved = k.min(m);
            Ks::test(
                &sample(vec![(0.0, n)]),
                &Sample::weighted([(0.0, m - moved), (1.0, moved)]).expect("numbers"),
            )
        };
        prop_assert!(step(at + 1).p <= step(at).p + 1e-12);
    }

    #[test]
    fn categories_may_come_in_any_order((a, b) in counts()) {
        let turned = |counts: &[u64]| counts.iter().rev().copied().collect::<Vec<_>>();
        let there = Binned::of_counts(&a, &b).expect("counts");
        let back = Binned::of_counts(&turned(&a), &turned(&b)).expect("counts");
        prop_assert!(near(there.psi(), back.psi()) && near(there.kl(), back.kl()));
        prop_assert!(near(there.js_distance(), back.js_distance()));
        prop_assert!((0.0..=1.0).contains(&there.homogeneity_p()));
    }

    #[test]
    fn ten_times_the_counts_are_the_same_shares((a, b) in counts()) {
        let more = |counts: &[u64]| counts.iter().map(|count| count * 10).collect::<Vec<_>>();
        let (few, many) = (Binned::of_counts(&a, &b), Binned::of_counts(&more(&a), &more(&b)));
        let (few, many) = (few.expect("counts"), many.expect("counts"));
        prop_assert!(near(few.psi(), many.psi()) && near(few.hellinger(), many.hellinger()));
    }

    #[test]
    fn estimated_performance_lies_between_zero_and_one(
        scores in proptest::collection::vec((0u8..=200, 1u64..9), 1..40), threshold in 0u8..=200
    ) {
        let scores = sample(scores.into_iter().map(|(cell, n)| (f64::from(cell) / 200.0, n)).collect());
        let cbpe = Cbpe::new(&scores, f64::from(threshold) / 200.0);
        for estimate in [cbpe.precision(), cbpe.recall(), cbpe.f1()].into_iter().flatten() {
            prop_assert!((0.0..=1.0).contains(&estimate.value) && estimate.variance >= 0.0, "{:?}", estimate);
            prop_assert!((0.0..=1.0).contains(&estimate.fall_p(estimate)));
        }
        if let (Some(p), Some(r), Some(f1)) = (cbpe.precision(), cbpe.recall(), cbpe.f1())
            && p.value + r.value > 0.0
        {
            prop_assert!(near(f1.value, 2.0 * p.value * r.value / (p.value + r.value)));
        }
    }

    #[test]
    fn measured_performance_lies_between_zero_and_one(
        counts in proptest::array::uniform4(0u64..200), expected in 0f64..=1.0
    ) {
        let [true_positives, false_positives, false_negatives, true_negatives] = counts;
        let seen = Outcomes { true_positives, false_positives, false_negatives, true_negatives };
        for value in [seen.precision(), seen.f1()].into_iter().flatten() {
            prop_assert!((0.0..=1.0).contains(&value));
        }
        prop_assert!((0.0..=1.0).contains(&seen.precision_fall_p(expected)));
        prop_assert!((0.0..=1.0).contains(&seen.f1_fall_p(expected)));
    }
}
