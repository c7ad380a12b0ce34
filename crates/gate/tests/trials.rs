//! When a trial goes on, is passed, and is ended.

use modloop_gate::{Evidence, Pair, Shift, TrialPolicy, TrialVerdict, Work, judge_trial};
use proptest::prelude::*;

const PREDICTED: Shift = Shift { flagged: Pair { champion: 0.05, challenger: 0.08 } };

fn work(items: u64) -> Work {
    Work { items, failed: 0, load_failures: 0, milliseconds: items as f64 * 4.0 }
}

/// As predicted, nothing wrong.
fn good(pairs: u64) -> Evidence {
    Evidence {
        hours: 1.0,
        pairs,
        flagged: Pair { champion: pairs / 20, challenger: pairs * 8 / 100 },
        only_champion_right: 3,
        only_challenger_right: 9,
        work: Pair { champion: work(pairs), challenger: work(pairs) },
    }
}

fn verdict(evidence: Evidence) -> (TrialVerdict, String) {
    let report = judge_trial(evidence, PREDICTED, &TrialPolicy::default());
    (report.verdict, report.reason)
}

#[test]
fn a_quiet_trial_goes_on_until_enough_was_seen() {
    assert_eq!(verdict(good(0)).0, TrialVerdict::GoOn);
    assert_eq!(verdict(good(499)).0, TrialVerdict::GoOn);
    assert_eq!(verdict(good(500)).0, TrialVerdict::Passed);
    assert_eq!(verdict(Evidence { hours: 24.0, ..good(60) }).0, TrialVerdict::Passed);
    assert_eq!(verdict(Evidence { hours: 24.0, ..good(40) }).0, TrialVerdict::GoOn);
    assert_eq!(verdict(Evidence { hours: 72.0, ..good(40) }).0, TrialVerdict::Failed);
}

#[test]
fn anything_bad_ends_it_with_its_name() {
    let challenger = |change: fn(&mut Work)| {
        let mut evidence = good(300);
        change(&mut evidence.work.challenger);
        evidence
    };
    let cases = [
        (challenger(|work| work.load_failures = 3), "failed loads"),
        (challenger(|work| work.failed = 30), "cannot score"),
        (challenger(|work| work.milliseconds *= 3.0), "time for a text"),
        (Evidence { flagged: Pair { champion: 15, challenger: 90 }, ..good(300) }, "shift of flagged"),
        (Evidence { flagged: Pair { champion: 60, challenger: 0 }, ..good(300) }, "shift of flagged"),
        (Evidence { only_champion_right: 12, only_challenger_right: 2, ..good(300) }, "labels speak against"),
    ];
    for (evidence, words) in cases {
        let (verdict, reason) = verdict(evidence);
        assert!(verdict == TrialVerdict::Failed && reason.contains(words), "{words}: {reason}");
    }
}

proptest! {
    #[test]
    fn more_wrong_never_helps(pairs in 0u64..2000, failed in 0u64..100, more in 0u64..100) {
        let with = |failed: u64| {
            let mut evidence = good(pairs);
            evidence.work.challenger.failed = failed;
            verdict(evidence).0
        };
        prop_assert!(with(failed) != TrialVerdict::Failed || with(failed + more) == TrialVerdict::Failed);
    }
}
