use std::collections::BTreeMap;

use modloop_domain::Label;
use modloop_drift::{ALPHA, Finding, History, Outcomes, Sizes, findings, judge};
use modloop_store::{Database, LabelOutcomes, NewReport, Past, Target, Window};
use serde_json::json;

use crate::reference::{References, count_window};
use crate::{Entry, MonitorError, ReferenceKind, Settings};

/// The report on one subreddit and model: the stored one where there is one, so that a window is judged
/// once; else a new one, which is stored.
pub(crate) async fn assess(
    database: &Database,
    settings: Settings,
    references: &mut References,
    target: &Target,
    window: Window,
) -> Result<Entry, MonitorError> {
    if let Some(entry) = stored(database, target, window).await? {
        return Ok(entry);
    }
    let (report, entry) = look(database, settings, references, target, window).await?;
    if database.ask(async |store| store.record_report(target, &report).await).await? {
        return Ok(entry);
    }
    // Another run was faster, and its report is the one that counts.
    Ok(stored(database, target, window).await?.unwrap_or(entry))
}

async fn stored(database: &Database, target: &Target, window: Window) -> Result<Option<Entry>, MonitorError> {
    let report = database.ask(async |store| store.stored_report(target, window.end).await).await?;
    report.map(|report| Entry::stored(target, report)).transpose()
}

async fn look(
    database: &Database,
    settings: Settings,
    references: &mut References,
    target: &Target,
    window: Window,
) -> Result<(NewReport, Entry), MonitorError> {
    let past = database.ask(async |store| store.past(target, window.start).await).await?;
    let current = count_window(database, target, window).await?;
    let (kind, reference) = references.reference(database, target, window).await?;
    let labelled = outcomes(database, target, window).await?;
    let reference_items = reference.as_ref().map_or(0, |reference| reference.whole().items);
    let sizes = Sizes { window: current.items, reference: reference_items };
    let found = match &reference {
        Some(reference) if sizes.window.min(sizes.reference) >= settings.policy.minimum_items => {
            findings(reference, &current, &labelled, target.thresholds)
        }
        _ => Vec::new(),
    };
    let judgement = judge(sizes, &found, settings.policy, history(past), window.end);
    let report = NewReport {
        window,
        items: sizes.window,
        verdict: judgement.verdict.as_str(),
        breaches: judgement.breaches,
        summary: judgement.summary,
        statistics: statistics(kind, sizes, &found, &labelled),
    };
    let entry = Entry::new(target, judgement.verdict, &report, found);
    Ok((report, entry))
}

fn history(past: Past) -> History {
    let Past { breaches, episode_open, last_episode_closed } = past;
    History { breaches, episode_open, last_episode_closed }
}

fn statistics(
    kind: ReferenceKind,
    sizes: Sizes,
    found: &[Finding],
    labelled: &BTreeMap<Label, Outcomes>,
) -> serde_json::Value {
    json!({
        "reference": kind,
        "reference_items": sizes.reference,
        "alpha": ALPHA / found.len().max(1) as f64,
        "findings": found,
        "labelled": labelled,
    })
}

async fn outcomes(
    database: &Database,
    target: &Target,
    window: Window,
) -> Result<BTreeMap<Label, Outcomes>, MonitorError> {
    let counted = database.ask(async |store| store.outcomes(target, window).await).await?;
    let mut by_label: BTreeMap<Label, Outcomes> = BTreeMap::new();
    for LabelOutcomes { label, predicted, actual, items } in counted {
        let outcomes = by_label.entry(label).or_default();
        let place = match (predicted, actual) {
            (true, true) => &mut outcomes.true_positives,
            (true, false) => &mut outcomes.false_positives,
            (false, true) => &mut outcomes.false_negatives,
            (false, false) => &mut outcomes.true_negatives,
        };
        *place += items;
    }
    Ok(by_label)
}
