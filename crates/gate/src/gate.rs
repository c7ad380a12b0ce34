use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::bootstrap::difference;
use crate::{Bound, Check, Contest, Decision, GateReport, Interval, Judged, Pair, Rate, Shift, macro_f1};

/// How strict the gate is. Margins are differences of shares: 0.02 is two points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Of "better": 0.95 lets one challenger in twenty through that is no better.
    pub confidence: f64,
    /// How often the gold set is resampled.
    pub resamples: usize,
    /// Makes the decision repeatable.
    pub seed: u64,
    /// How much worse a challenger may be overall while it is better where drift was seen.
    pub overall_margin: f64,
    /// How much worse it may be in a community.
    pub community_margin: f64,
    /// How much worse it may be on a label.
    pub label_margin: f64,
    /// A community or label with fewer texts is not looked at by itself.
    pub slice_items: usize,
    /// How many more of the harmless texts about an identity it may flag.
    pub identity_margin: f64,
    /// The same in the mean over all identities, where one sentence weighs little.
    pub identity_mean_margin: f64,
    /// How many fewer cases of the functional suite it may pass.
    pub functional_margin: f64,
    /// Share of texts on which the served graph may decide differently from fp32.
    pub parity_flips: f64,
    /// Of the packed bundle.
    pub bundle_bytes: u64,
    /// How many times the champion's time it may take.
    pub latency_ratio: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            confidence: 0.95,
            resamples: 2000,
            seed: 20_261_122,
            overall_margin: 0.01,
            community_margin: 0.05,
            label_margin: 0.03,
            slice_items: 30,
            // One of the suite's 25 sentences says nothing about a single identity.
            identity_margin: 0.05,
            identity_mean_margin: 0.005,
            functional_margin: 0.0,
            parity_flips: 0.02,
            bundle_bytes: 200 << 20,
            latency_ratio: 1.5,
        }
    }
}

/// Compares the models and decides.
pub fn judge(contest: &Contest, policy: &Policy) -> GateReport {
    let all: Vec<&Judged> = contest.items.iter().collect();
    let drifted: Vec<&Judged> = contest.items.iter().filter(|item| item.drifted).collect();
    let interval = |items: &[&Judged]| difference(items, policy.confidence, policy.resamples, policy.seed);
    let overall = interval(&all);
    let drifted = (drifted.len() >= policy.slice_items).then(|| interval(&drifted));
    let mut checks = vec![better(overall, drifted, policy)];
    checks.extend(communities(contest, policy));
    checks.extend(labels(contest, policy));
    checks.extend(identity(contest, policy));
    checks.extend(served(contest, policy));
    let failed: Vec<String> = checks.iter().filter(|check| !check.passed).map(Check::to_string).collect();
    let decision = if failed.is_empty() { Decision::Promote } else { Decision::Refuse };
    let reason = if failed.is_empty() { checks[0].to_string() } else { failed.join("; ") };
    GateReport {
        decision,
        reason,
        items: contest.items.len(),
        macro_f1: macro_f1(&contest.items),
        difference: overall,
        drifted,
        confidence: policy.confidence,
        resamples: policy.resamples,
        seed: policy.seed,
        shift: shift(&contest.items),
        checks,
    }
}

/// Better overall; or better where drift was seen, and overall not worse than the margin.
fn better(overall: Interval, drifted: Option<Interval>, policy: &Policy) -> Check {
    let repaired = drifted.filter(|d| d.lower > 0.0 && overall.lower > -policy.overall_margin);
    match repaired {
        Some(drifted) if overall.lower <= 0.0 => Check::new(
            "macro-F1 difference where drift was seen, lower bound",
            drifted.lower,
            Bound::Above,
            0.0,
        ),
        _ => Check::new("macro-F1 difference, lower bound", overall.lower, Bound::Above, 0.0),
    }
}

fn communities(contest: &Contest, policy: &Policy) -> Vec<Check> {
    let mut by_name: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
    for item in &contest.items {
        by_name.entry(&item.community).or_default().push(item);
    }
    by_name.retain(|_, items| items.len() >= policy.slice_items);
    by_name
        .into_iter()
        .map(|(name, items)| {
            let pair = macro_f1(items);
            let name = format!("r/{name}, macro-F1 difference");
            Check::new(name, pair.challenger - pair.champion, Bound::AtLeast, -policy.community_margin)
        })
        .collect()
}

fn labels(contest: &Contest, policy: &Policy) -> Vec<Check> {
    let alone = |index: usize| -> Vec<Judged> {
        let known = contest.items.iter().filter(|item| item.outcomes.get(index).is_some_and(Option::is_some));
        known.map(|item| Judged { outcomes: vec![item.outcomes[index]], ..item.clone() }).collect()
    };
    let check = |(index, label): (usize, &modloop_domain::Label)| {
        let items = alone(index);
        let pair = macro_f1(&items);
        let name = format!("label {label}, macro-F1 difference");
        (items.len() >= policy.slice_items)
            .then(|| Check::new(name, pair.challenger - pair.champion, Bound::AtLeast, -policy.label_margin))
    };
    contest.labels.iter().enumerate().filter_map(check).collect()
}

fn identity(contest: &Contest, policy: &Policy) -> Vec<Check> {
    let worse = |pair: &Pair<Rate>| pair.challenger.share() - pair.champion.share();
    let of_a_term = |(term, pair): (&String, &Pair<Rate>)| {
        let name = format!("false alarms about {term:?}, difference");
        Check::new(name, worse(pair), Bound::AtMost, policy.identity_margin)
    };
    let mean = contest.identity.values().map(worse).sum::<f64>() / contest.identity.len().max(1) as f64;
    let name = "false alarms about identities in the mean, difference";
    let mut checks = vec![Check::new(name, mean, Bound::AtMost, policy.identity_mean_margin)];
    checks.extend(contest.identity.iter().map(of_a_term));
    checks
}

fn served(contest: &Contest, policy: &Policy) -> [Check; 4] {
    let functional = contest.functional.challenger.share() - contest.functional.champion.share();
    let latency = contest.milliseconds.challenger / contest.milliseconds.champion.max(f64::MIN_POSITIVE);
    [
        Check::new("functional suite, difference", functional, Bound::AtLeast, -policy.functional_margin),
        Check::new(
            "texts that int8 decides differently",
            contest.parity_flips.share(),
            Bound::AtMost,
            policy.parity_flips,
        ),
        Check::new("bundle, bytes", contest.bundle_bytes as f64, Bound::AtMost, policy.bundle_bytes as f64),
        Check::new("time for a text over the champion's", latency, Bound::AtMost, policy.latency_ratio),
    ]
}

fn shift(items: &[Judged]) -> Shift {
    let all: f64 = items.iter().map(|item| item.weight).sum::<f64>().max(f64::MIN_POSITIVE);
    let flagged = |by: fn(&Judged) -> bool| {
        items.iter().filter(|item| by(item)).map(|item| item.weight).sum::<f64>() / all
    };
    Shift {
        flagged: Pair {
            champion: flagged(|item| item.flagged.champion),
            challenger: flagged(|item| item.flagged.challenger),
        },
    }
}

impl Contest {
    /// Communities of the gold set.
    pub fn communities(&self) -> BTreeSet<&str> {
        self.items.iter().map(|item| item.community.as_str()).collect()
    }
}
