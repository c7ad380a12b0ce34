//! The statistics against what evidently 0.7.23 says about the same samples; `evidently/make.py` wrote the
//! expected numbers.

use std::collections::BTreeMap;

use modloop_drift::{Binned, Comparison, Ks, Sample, wasserstein_normed};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    reference: Vec<(f64, u64)>,
    current: Vec<(f64, u64)>,
    numerical: BTreeMap<String, f64>,
    categorical: BTreeMap<String, f64>,
}

fn cases() -> Vec<Case> {
    let file = include_str!("evidently/expected.json");
    serde_json::from_str::<Expected>(file).expect("the fixture is JSON").cases
}

fn agree(case: &str, found: &[(&str, f64)], expected: &BTreeMap<String, f64>) {
    assert_eq!(found.len(), expected.len(), "{case}");
    for (name, value) in found {
        let wanted = expected[*name];
        assert!((value - wanted).abs() <= 1e-6, "{case}: {name} is {value}, evidently says {wanted}");
    }
}

#[test]
fn numbers_agree_with_evidently() {
    for case in cases() {
        let reference = Sample::weighted(case.reference).expect("numbers");
        let current = Sample::weighted(case.current).expect("numbers");
        let found = Comparison::numerical(&reference, &current);
        let found = [
            ("psi", found.psi),
            ("js_distance", found.js_distance),
            ("js_distance_base2", found.js_distance_base2),
            ("kl", found.kl),
            ("hellinger", found.hellinger),
            ("wasserstein_normed", found.wasserstein_normed),
            ("ks_statistic", found.ks.statistic),
            ("ks_p", found.ks.p),
        ];
        agree(&case.name, &found, &case.numerical);
    }
}

#[test]
fn categories_agree_with_evidently() {
    for case in cases() {
        let reference = Sample::weighted(case.reference).expect("numbers");
        let current = Sample::weighted(case.current).expect("numbers");
        let binned = Binned::by_value(&reference, &current);
        let found = [
            ("psi", binned.psi()),
            ("js_distance", binned.js_distance()),
            ("js_distance_base2", binned.js_distance_base2()),
            ("kl", binned.kl()),
            ("hellinger", binned.hellinger()),
        ];
        agree(&case.name, &found, &case.categorical);
    }
}

/// The published example: a ramp against its square.
#[test]
fn a_ramp_and_its_square() {
    let ramp = || (0..200).map(|i| f64::from((37 * i) % 200) / 200.0);
    let reference = Sample::of(ramp()).expect("numbers");
    let current = Sample::of(ramp().map(|x| x * x)).expect("numbers");
    let binned = Binned::numerical(&reference, &current);
    for (found, expected) in [
        (binned.psi(), 0.390897),
        (binned.js_distance(), 0.216710),
        (binned.kl(), 0.176810),
        (wasserstein_normed(&reference, &current), 0.577343),
        (Ks::test(&reference, &current).statistic, 0.25),
    ] {
        assert!((found - expected).abs() <= 1e-6, "{found} instead of {expected}");
    }
}
