use chrono::{DateTime, TimeDelta, Utc};
use modloop_domain::DriftVerdict;
use serde::Serialize;

use crate::Finding;

/// When a movement becomes a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Fewer items in a window or in its reference decide nothing.
    pub minimum_items: u64,
    /// Windows in a row with a breach that make drift.
    pub breaches: u32,
    /// How long after an episode no other one opens.
    pub cooldown: TimeDelta,
}

/// What was before this window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct History {
    /// Windows in a row with a breach; a window with too few items neither counts nor ends the row.
    pub breaches: u32,
    /// Drift was found and has not ended.
    pub episode_open: bool,
    /// When the last episode ended.
    pub last_episode_closed: Option<DateTime<Utc>>,
}

/// How many items were compared with how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// In the window.
    pub window: u64,
    /// In the reference.
    pub reference: u64,
}

/// The verdict on one window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// In one word.
    pub verdict: DriftVerdict,
    /// Windows in a row with a breach, this one included.
    pub breaches: u32,
    /// In one sentence: which statistic moved, on what, and by how much.
    pub summary: String,
}

/// Judges one window that ended at `window_end`.
pub fn judge(
    sizes: Sizes,
    findings: &[Finding],
    policy: Policy,
    history: History,
    window_end: DateTime<Utc>,
) -> Judgement {
    if let Some(summary) = too_few(sizes, policy) {
        return Judgement { verdict: DriftVerdict::Insufficient, breaches: history.breaches, summary };
    }
    let Some(moved) = moved(findings) else {
        return Judgement { verdict: DriftVerdict::Stable, breaches: 0, summary: nothing_moved(findings) };
    };
    let breaches = history.breaches.saturating_add(1);
    let cooling_until = history.last_episode_closed.map(|closed| closed + policy.cooldown);
    let (verdict, why) = match cooling_until {
        _ if history.episode_open => (DriftVerdict::Drift, String::new()),
        _ if breaches < policy.breaches => {
            (DriftVerdict::Warning, format!(" ({breaches} of {} windows in a row)", policy.breaches))
        }
        Some(until) if window_end < until => {
            (DriftVerdict::Warning, format!(" (cooling down until {})", until.format("%Y-%m-%d %H:%M UTC")))
        }
        _ => (DriftVerdict::Drift, String::new()),
    };
    Judgement { verdict, breaches, summary: moved + &why }
}

fn too_few(sizes: Sizes, Policy { minimum_items, .. }: Policy) -> Option<String> {
    let Sizes { window, reference } = sizes;
    if window < minimum_items {
        Some(format!("too few items in the window: {window} of {minimum_items} needed"))
    } else if reference < minimum_items {
        Some(format!("too few items in the reference: {reference} of {minimum_items} needed"))
    } else {
        None
    }
}

/// The breached statistic that is furthest beyond its threshold, and how many others there are.
fn moved(findings: &[Finding]) -> Option<String> {
    let breached = || findings.iter().filter(|finding| finding.breached);
    let furthest = breached().max_by(|a, b| a.severity().total_cmp(&b.severity()))?;
    match breached().count() - 1 {
        0 => Some(furthest.to_string()),
        others => Some(format!("{furthest}; {others} more moved")),
    }
}

fn nothing_moved(findings: &[Finding]) -> String {
    // Beyond its threshold but within what chance explains: named as it is, it is no movement.
    let nearest = findings.iter().max_by(|a, b| a.severity().total_cmp(&b.severity()));
    match nearest {
        Some(finding) if finding.is_beyond() => {
            format!("nothing moved beyond chance: {finding} (p {:.2})", finding.p)
        }
        Some(finding) => format!("nothing moved: at most {finding}"),
        None => "nothing to compare".to_owned(),
    }
}
