use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

use crate::{Bound, Check, Pair, Shift};

/// How a trial is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrialPolicy {
    /// Texts that both models scored, after which the trial is passed.
    pub items: u64,
    /// Hours after which fewer will do.
    pub hours: f64,
    /// The fewest after those hours; with fewer it lasts up to three times as long, and then fails.
    pub min_items: u64,
    /// How much larger the share of texts that it cannot score may be.
    pub error_margin: f64,
    /// Failed loads of its bundle that end the trial.
    pub load_failures: u64,
    /// How many times the champion's time it may take.
    pub latency_ratio: f64,
    /// How far the shift of decisions may be from what the gold set predicted.
    pub shift_margin: f64,
    /// Chance of a false alarm by labels or by the shift.
    pub significance: f64,
}

impl Default for TrialPolicy {
    fn default() -> Self {
        Self {
            items: 500,
            hours: 24.0,
            min_items: 50,
            error_margin: 0.01,
            load_failures: 3,
            latency_ratio: 2.0,
            shift_margin: 0.05,
            significance: 0.05,
        }
    }
}

/// What one model did in a trial.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Work {
    /// Texts scored.
    pub items: u64,
    /// Texts that could not be scored.
    pub failed: u64,
    /// Loads of its bundle that failed.
    pub load_failures: u64,
    /// Time that scoring took.
    pub milliseconds: f64,
}

/// What a trial has shown.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// Since its mode began.
    pub hours: f64,
    /// Texts that both models scored.
    pub pairs: u64,
    /// How many of them each flagged.
    pub flagged: Pair<u64>,
    /// Labels known of those texts that only the champion got right.
    pub only_champion_right: u64,
    /// And only the challenger.
    pub only_challenger_right: u64,
    /// What each did.
    pub work: Pair<Work>,
}

/// What follows from a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialVerdict {
    /// Not enough seen yet, and nothing bad.
    GoOn,
    /// Long enough without anything bad.
    Passed,
    /// Something bad was seen.
    Failed,
}

/// The verdict with everything it was made by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialReport {
    /// What follows.
    pub verdict: TrialVerdict,
    /// Why, in one sentence.
    pub reason: String,
    /// What was seen.
    pub evidence: Evidence,
    /// Each thing that was looked at.
    pub checks: Vec<Check>,
}

/// Below so many texts shares say nothing.
const FEWEST: u64 = 20;

/// Judges a trial by what it has shown so far. Anything bad ends it at once.
pub fn judge_trial(evidence: Evidence, predicted: Shift, policy: &TrialPolicy) -> TrialReport {
    let mut checks = vec![loads(&evidence, policy)];
    checks.extend(errors(&evidence, policy));
    checks.extend(latency(&evidence, policy));
    checks.extend(decisions(&evidence, predicted, policy));
    checks.extend(labels(&evidence, policy));
    let failed: Vec<String> = checks.iter().filter(|check| !check.passed).map(Check::to_string).collect();
    let Evidence { pairs, hours, .. } = evidence;
    let (verdict, reason) = if !failed.is_empty() {
        (TrialVerdict::Failed, failed.join("; "))
    } else if pairs >= policy.items || (hours >= policy.hours && pairs >= policy.min_items) {
        (TrialVerdict::Passed, format!("{pairs} texts in {hours:.1} hours without anything bad"))
    } else if hours >= 3.0 * policy.hours {
        let least = policy.min_items;
        (TrialVerdict::Failed, format!("only {pairs} texts in {hours:.1} hours, {least} are needed to judge"))
    } else {
        (TrialVerdict::GoOn, format!("{pairs} of {} texts in {hours:.1} hours", policy.items))
    };
    TrialReport { verdict, reason, evidence, checks }
}

fn loads(evidence: &Evidence, policy: &TrialPolicy) -> Check {
    let most = policy.load_failures.saturating_sub(1);
    let found = evidence.work.challenger.load_failures;
    Check::new("failed loads of the challenger", found as f64, Bound::AtMost, most as f64)
}

fn errors(evidence: &Evidence, policy: &TrialPolicy) -> Option<Check> {
    let Pair { champion, challenger } = evidence.work;
    let share = |work: Work| work.failed as f64 / (work.items + work.failed).max(1) as f64;
    (challenger.items + challenger.failed >= FEWEST).then(|| {
        let worse = share(challenger) - share(champion);
        Check::new("share of texts it cannot score, difference", worse, Bound::AtMost, policy.error_margin)
    })
}

fn latency(evidence: &Evidence, policy: &TrialPolicy) -> Option<Check> {
    let Pair { champion, challenger } = evidence.work;
    (champion.items.min(challenger.items) >= FEWEST).then(|| {
        let each = |work: Work| work.milliseconds / work.items as f64;
        let ratio = each(challenger) / each(champion).max(f64::MIN_POSITIVE);
        Check::new("time for a text over the champion's", ratio, Bound::AtMost, policy.latency_ratio)
    })
}

/// How far the shift is from the predicted one, less what chance explains.
fn decisions(evidence: &Evidence, predicted: Shift, policy: &TrialPolicy) -> Option<Check> {
    let n = evidence.pairs as f64;
    (evidence.pairs >= FEWEST).then(|| {
        let share = |flagged: u64| flagged as f64 / n;
        let (a, b) = (share(evidence.flagged.champion), share(evidence.flagged.challenger));
        // As if both were counted on different texts: an upper limit of the error.
        let error = ((a * (1.0 - a) + b * (1.0 - b)) / n).sqrt();
        let away =
            ((b - a) - predicted.difference()).abs() - normal_quantile(1.0 - policy.significance) * error;
        let name = "shift of flagged texts beyond the predicted";
        Check::new(name, away.max(0.0), Bound::AtMost, policy.shift_margin)
    })
}

/// The sign test: were both equally good, would the champion be right alone this often by chance?
fn labels(evidence: &Evidence, policy: &TrialPolicy) -> Option<Check> {
    let (champion, challenger) = (evidence.only_champion_right, evidence.only_challenger_right);
    let coin = Binomial::new(0.5, champion + challenger).ok()?;
    (champion > challenger).then(|| {
        let chance = coin.sf(champion - 1);
        let name = "chance that labels speak against it by accident";
        Check::new(name, chance, Bound::AtLeast, policy.significance)
    })
}

fn normal_quantile(share: f64) -> f64 {
    use statrs::distribution::{ContinuousCDF, Normal};
    Normal::standard().inverse_cdf(share)
}
