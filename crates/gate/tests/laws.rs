//! What the gate lets through and what it does not.

use modloop_gate::{Contest, Decision, GateReport, Judged, Outcome, Pair, Policy, Rate, judge, macro_f1};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn quick() -> Policy {
    Policy { resamples: 300, ..Policy::default() }
}

fn judged(community: &str, drifted: bool, outcomes: Vec<Option<Outcome>>) -> Judged {
    let flagged = |by: fn(&Outcome) -> bool| outcomes.iter().flatten().any(by);
    let flagged = Pair { champion: flagged(|o| o.champion), challenger: flagged(|o| o.challenger) };
    Judged { community: community.into(), drifted, weight: 1.0, outcomes, flagged }
}

fn contest(items: Vec<Judged>) -> Contest {
    let same = Rate { part: 90, whole: 100 };
    Contest {
        labels: vec!["hate".parse().expect("a label"), "offensive".parse().expect("a label")],
        items,
        functional: Pair { champion: same, challenger: same },
        identity: (0..40).map(|n| (format!("term {n}"), Pair { champion: same, challenger: same })).collect(),
        parity_flips: Rate { part: 3, whole: 1000 },
        bundle_bytes: 23_000_000,
        milliseconds: Pair { champion: 3.0, challenger: 3.1 },
    }
}

/// Texts of two communities, the second of which drifted; each model errs with its own chance there.
fn drawn(n: usize, seed: u64, errors: impl Fn(bool) -> (f64, f64)) -> Contest {
    let mut random = StdRng::seed_from_u64(seed);
    let items = (0..n).map(|i| {
        let drifted = i % 2 == 1;
        let (champion, challenger) = errors(drifted);
        let mut outcome = |prevalence: f64| {
            let truth = random.random_bool(prevalence);
            let mut says = |error: f64| truth ^ random.random_bool(error);
            Some(Outcome { truth, champion: says(champion), challenger: says(challenger) })
        };
        let outcomes = vec![outcome(0.3), outcome(0.4)];
        judged(if drifted { "city_talk" } else { "home_cooking" }, drifted, outcomes)
    });
    contest(items.collect())
}

fn failed(report: &GateReport) -> Vec<&str> {
    report.checks.iter().filter(|check| !check.passed).map(|check| check.name.as_str()).collect()
}

fn outcomes() -> impl Strategy<Value = Vec<(bool, bool, bool)>> {
    proptest::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_same_model_is_never_better_than_itself(items in outcomes()) {
        let items = items.into_iter().map(|(truth, says, drifted)| {
            let outcome = Outcome { truth, champion: says, challenger: says };
            judged("rust", drifted, vec![Some(outcome), None])
        });
        let report = judge(&contest(items.collect()), &quick());
        prop_assert_eq!(report.decision, Decision::Refuse);
        prop_assert_eq!((report.difference.lower, report.difference.upper), (0.0, 0.0));
    }

    #[test]
    fn the_difference_changes_its_sign_with_the_sides(items in outcomes()) {
        let made = |turned: bool| -> Vec<Judged> {
            items.iter().map(|&(truth, a, b)| {
                let (champion, challenger) = if turned { (b, a) } else { (a, b) };
                judged("rust", false, vec![Some(Outcome { truth, champion, challenger })])
            }).collect()
        };
        let (there, back) = (macro_f1(&made(false)), macro_f1(&made(true)));
        prop_assert_eq!((there.champion, there.challenger), (back.challenger, back.champion));
        let bounds = judge(&contest(made(false)), &quick()).difference;
        prop_assert!(bounds.lower <= bounds.upper);
    }

    #[test]
    fn one_bad_number_is_enough_to_refuse(which in 0usize..6) {
        let mut contest = drawn(600, 7, |_| (0.3, 0.05));
        prop_assert_eq!(judge(&contest, &quick()).decision, Decision::Promote);
        let worse = Rate { part: 95, whole: 100 };
        match which {
            0 => contest.functional.champion = worse,
            1 => contest.identity.entry("term 7".into()).or_default().challenger = Rate { part: 98, whole: 100 },
            // Too little in each to tell, and too much in all.
            5 => contest.identity.values_mut().for_each(|p| p.challenger = Rate { part: 91, whole: 100 }),
            2 => contest.parity_flips = Rate { part: 30, whole: 1000 },
            3 => contest.bundle_bytes = 1 << 40,
            _ => contest.milliseconds.challenger = 30.0,
        }
        let report = judge(&contest, &quick());
        prop_assert_eq!((report.decision, failed(&report).len()), (Decision::Refuse, 1));
    }
}

#[test]
fn a_clearly_better_challenger_passes() {
    let report = judge(&drawn(600, 1, |_| (0.25, 0.1)), &Policy::default());
    assert_eq!(report.decision, Decision::Promote, "{report}");
    assert!(report.difference.lower > 0.0 && report.macro_f1.challenger > report.macro_f1.champion);
}

#[test]
fn noise_is_let_through_no_more_often_than_stated() {
    let promoted = (0..200)
        .filter(|&seed| judge(&drawn(300, seed, |_| (0.15, 0.15)), &quick()).decision == Decision::Promote)
        .count();
    // One in twenty, and three standard deviations of 200 draws.
    assert!(promoted <= 19, "{promoted} of 200");
}

#[test]
fn a_challenger_that_repairs_the_drift_and_harms_nothing_passes() {
    let repaired = drawn(900, 3, |drifted| if drifted { (0.3, 0.1) } else { (0.1, 0.1) });
    assert_eq!(judge(&repaired, &quick()).decision, Decision::Promote);
}

#[test]
fn a_challenger_that_pays_for_it_elsewhere_is_refused_by_the_subreddit() {
    let paid = drawn(900, 4, |drifted| if drifted { (0.4, 0.05) } else { (0.05, 0.2) });
    let report = judge(&paid, &quick());
    assert_eq!(report.decision, Decision::Refuse);
    assert_eq!(failed(&report), ["r/home_cooking, macro-F1 difference"]);
}

#[test]
fn a_report_reads_back_and_prints_every_check() {
    let report = judge(&drawn(200, 5, |_| (0.3, 0.1)), &quick());
    let json = serde_json::to_string(&report).expect("JSON");
    let shown = report.to_string();
    assert_eq!(serde_json::from_str::<GateReport>(&json).expect("reads").to_string(), shown);
    assert!(report.checks.iter().all(|check| shown.contains(&check.name)), "{shown}");
}

#[test]
fn the_predicted_shift_follows_the_weights() {
    let says = |champion, challenger| vec![Some(Outcome { truth: true, champion, challenger })];
    let mut items = vec![judged("rust", false, says(true, true)), judged("rust", false, says(false, true))];
    items[0].weight = 9.0;
    let shift = judge(&contest(items), &quick()).shift;
    assert!((shift.flagged.champion - 0.9).abs() < 1e-9 && (shift.difference() - 0.1).abs() < 1e-9);
}
