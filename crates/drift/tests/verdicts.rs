//! From counts of predictions to a verdict that a person can act on.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use modloop_bundle::Chunk;
use modloop_domain::DriftVerdict;
use modloop_domain::{Decision, Label, Probability, Thresholds};
use modloop_drift::{
    Finding, History, Judgement, Measure, Outcomes, Policy, Reference, Sizes, Subject, ThresholdSource,
    findings, judge,
};

const POLICY: Policy = Policy { minimum_items: 200, breaches: 2, cooldown: TimeDelta::hours(24) };

fn label() -> Label {
    "hate".parse().expect("a label")
}

fn thresholds(review: f32, remove: f32) -> Thresholds {
    let p = |value| Probability::new(value).expect("a probability");
    Thresholds::new(p(review), p(remove)).expect("in order")
}

/// `items` texts whose scores spread like u^power for evenly spaced u: a higher power is a calmer community.
/// The phase makes chunks differ a little, as chance does.
fn chunk(items: u32, power: f64, phase: f64) -> Chunk {
    let mut chunk = Chunk::new(&[label()]);
    for i in 0..items {
        let u = (f64::from(i) * 0.618_033_988_749_895 + phase).fract();
        let score = u.powf(power) as f32;
        let p = Probability::new(score).expect("a probability");
        let entropy = 4.0 * score * (1.0 - score);
        chunk.record([(&label(), p)], entropy, Decision::Allow, 5 + i % 60, u32::from(i % 50 == 0));
    }
    chunk
}

fn reference(chunks: u32) -> Reference {
    let parts = (0..chunks).map(|i| chunk(300 + 7 * i, 4.0, f64::from(i) * 0.37));
    Reference::new(parts.collect()).expect("chunks")
}

fn compare(reference: &Reference, window: &Chunk) -> Vec<Finding> {
    findings(reference, window, &BTreeMap::new(), thresholds(0.5, 0.95))
}

fn found(findings: &[Finding], subject: &Subject, measure: Measure) -> Finding {
    let wanted = |f: &&Finding| f.subject == *subject && f.measure == measure;
    findings.iter().find(wanted).cloned().unwrap_or_else(|| panic!("no {measure} of {subject}"))
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn judged(reference: &Reference, window: &Chunk, history: History) -> Judgement {
    let sizes = Sizes { window: window.items, reference: reference.whole().items };
    judge(sizes, &compare(reference, window), POLICY, history, at("2026-11-22T12:00:00Z"))
}

#[test]
fn the_same_community_is_stable() {
    let verdict =
        judged(&reference(12), &chunk(500, 4.0, 0.123), History { breaches: 1, ..History::default() });
    assert_eq!((verdict.verdict, verdict.breaches), (DriftVerdict::Stable, 0));
    assert!(verdict.summary.starts_with("nothing moved"), "{}", verdict.summary);
}

#[test]
fn a_changed_community_is_a_warning_first_and_drift_when_it_lasts() {
    let (reference, window) = (reference(12), chunk(500, 1.5, 0.123));
    let first = judged(&reference, &window, History::default());
    assert_eq!((first.verdict, first.breaches), (DriftVerdict::Warning, 1));
    assert!(
        first.summary.contains("of hate rose") && first.summary.contains("threshold"),
        "{}",
        first.summary
    );
    assert!(first.summary.ends_with("(1 of 2 windows in a row)"), "{}", first.summary);
    let second = judged(&reference, &window, History { breaches: 1, ..History::default() });
    assert_eq!((second.verdict, second.breaches), (DriftVerdict::Drift, 2));
}

#[test]
fn few_items_decide_nothing_and_do_not_end_a_row() {
    let window = chunk(199, 1.5, 0.0);
    let verdict = judged(&reference(12), &window, History { breaches: 1, ..History::default() });
    assert_eq!((verdict.verdict, verdict.breaches), (DriftVerdict::Insufficient, 1));
    assert_eq!(verdict.summary, "too few items in the window: 199 of 200 needed");
    let thin = Reference::new(vec![chunk(1, 4.0, 0.0)]).expect("a chunk");
    let verdict = judged(&thin, &chunk(500, 1.5, 0.0), History::default());
    assert_eq!(verdict.summary, "too few items in the reference: 1 of 200 needed");
}

#[test]
fn after_an_episode_there_is_rest() {
    let (reference, window) = (reference(12), chunk(500, 1.5, 0.123));
    let after = |closed| History { breaches: 1, episode_open: false, last_episode_closed: Some(at(closed)) };
    let resting = judged(&reference, &window, after("2026-11-22T06:00:00Z"));
    assert_eq!(resting.verdict, DriftVerdict::Warning);
    assert!(resting.summary.ends_with("(cooling down until 2026-11-23 06:00 UTC)"), "{}", resting.summary);
    assert_eq!(judged(&reference, &window, after("2026-11-21T12:00:00Z")).verdict, DriftVerdict::Drift);
}

#[test]
fn an_open_episode_stays_drift_whatever_the_row_says() {
    let history =
        History { breaches: 0, episode_open: true, last_episode_closed: Some(at("2026-11-22T11:00:00Z")) };
    assert_eq!(judged(&reference(12), &chunk(500, 1.5, 0.1), history).verdict, DriftVerdict::Drift);
}

#[test]
fn a_small_p_alone_is_no_breach() {
    // A tiny shift over very many items: certain, and too small to matter.
    let many = |power: f64| {
        let mut one = chunk(1000, power, 0.0);
        for counts in one.scores.values_mut().chain([&mut one.top, &mut one.entropy, &mut one.lengths]) {
            counts.iter_mut().for_each(|count| *count *= 1000);
        }
        one.items *= 1000;
        one
    };
    let reference = Reference::new(vec![many(4.0)]).expect("a chunk");
    let findings = compare(&reference, &many(3.98));
    let psi = found(&findings, &Subject::Scores(label()), Measure::Psi);
    assert!(psi.p < 1e-6, "{psi:?}");
    assert!(findings.iter().all(|finding| !finding.breached), "{findings:?}");
}

#[test]
fn a_large_effect_on_few_items_is_no_breach_either() {
    let findings = compare(&reference(3), &chunk(12, 2.5, 0.4));
    let psi = found(&findings, &Subject::Scores(label()), Measure::Psi);
    assert!(psi.value > psi.threshold.value && !psi.breached, "{psi:?}");
}

#[test]
fn thresholds_come_from_chunks_where_there_are_enough() {
    let window = chunk(500, 4.0, 0.5);
    let psi = |chunks| {
        found(&compare(&reference(chunks), &window), &Subject::Scores(label()), Measure::Psi).threshold
    };
    assert_eq!(psi(12).source, ThresholdSource::Chunks);
    assert!(psi(12).value >= 0.02 && psi(12).value < 0.1, "{:?}", psi(12));
    assert_eq!((psi(9).source, psi(9).value), (ThresholdSource::Default, 0.1));
}

#[test]
fn a_moderator_who_moves_the_thresholds_causes_no_drift() {
    let (reference, window) = (reference(12), chunk(500, 4.0, 0.123));
    for moved in [thresholds(0.2, 0.6), thresholds(0.8, 1.0)] {
        let findings = findings(&reference, &window, &BTreeMap::new(), moved);
        assert!(findings.iter().all(|finding| !finding.breached), "{findings:?}");
    }
}

#[test]
fn the_decision_whose_share_changed_most_is_named() {
    let findings = compare(&reference(12), &chunk(2000, 1.5, 0.0));
    let share = found(&findings, &Subject::Decisions, Measure::ShareChange);
    assert!(share.breached, "{share:?}");
    assert!(share.to_string().starts_with("share of allow fell by 0."), "{share}");
}

#[test]
fn longer_texts_and_unknown_words_are_noticed() {
    let mut window = chunk(800, 4.0, 0.2);
    window.lengths.rotate_right(3);
    window.unknown_tokens = window.tokens / 5;
    let findings = compare(&reference(12), &window);
    assert!(found(&findings, &Subject::Lengths, Measure::JsDistance).breached);
    let unknown = found(&findings, &Subject::UnknownTokens, Measure::ShareChange);
    assert!(
        unknown.breached && unknown.to_string().starts_with("share of unknown tokens rose by"),
        "{unknown}"
    );
}

#[test]
fn a_model_that_is_wrong_more_often_than_it_claims_is_noticed() {
    let seen = |false_positives| Outcomes {
        true_positives: 40,
        false_positives,
        false_negatives: 12,
        true_negatives: 100,
    };
    let reference = reference(12);
    let measured = |outcomes| {
        let outcomes = BTreeMap::from([(label(), outcomes)]);
        let findings = findings(&reference, &chunk(500, 4.0, 0.123), &outcomes, thresholds(0.5, 0.95));
        found(&findings, &Subject::Scores(label()), Measure::MeasuredPrecision)
    };
    assert!(!measured(seen(10)).breached);
    let wrong = measured(seen(80));
    assert!(wrong.breached, "{wrong:?}");
    assert!(wrong.to_string().starts_with("measured precision of hate fell from 0."), "{wrong}");
    assert!(wrong.to_string().contains(" to 0.33, threshold"), "{wrong}");
}

#[test]
fn a_handful_of_labels_measures_nothing() {
    let outcomes = BTreeMap::from([(label(), Outcomes { false_positives: 29, ..Outcomes::default() })]);
    let findings = findings(&reference(12), &chunk(500, 4.0, 0.123), &outcomes, thresholds(0.5, 0.95));
    assert!(findings.iter().all(|f| f.measure != Measure::MeasuredPrecision));
}

#[test]
fn every_statistic_of_the_report_is_there() {
    let findings = compare(&reference(12), &chunk(500, 4.0, 0.123));
    let names: Vec<String> = findings.iter().map(|f| format!("{} of {}", f.measure, f.subject)).collect();
    insist(&names, &["PSI of hate", "normed Wasserstein distance of hate", "KS statistic of hate"]);
    insist(
        &names,
        &["Jensen–Shannon distance of hate", "estimated F1 of hate", "estimated precision of hate"],
    );
    insist(
        &names,
        &["Jensen–Shannon distance of decisions", "share of decisions", "KS statistic of entropy"],
    );
    insist(&names, &["Jensen–Shannon distance of text length", "share of unknown tokens"]);
}

fn insist(names: &[String], wanted: &[&str]) {
    for name in wanted {
        assert!(names.iter().any(|n| n == name), "{name} is not among {names:?}");
    }
}
