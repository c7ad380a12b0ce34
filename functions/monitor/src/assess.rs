use std::collections::BTreeMap;

use modloop_bundle::Chunk;
use modloop_domain::Label;
use modloop_drift::{ALPHA, Finding, History, Outcomes, Sizes, findings, judge};
use modloop_store::drift::{Counts, LabelOutcomes, NewReport, Pair, Past, StoredReport, Target, Window};
use serde_json::json;

use crate::reference::{Known, References, chunk, grid, length_bounds};
use crate::{Context, Entry, MonitorError, ReferenceKind, Settings, Summary};

/// What is known about the window of one target.
struct View {
    current: Chunk,
    past: Past,
    labeled: BTreeMap<Label, Outcomes>,
}

/// The reports on every community and model that decided in the window: the stored ones where there are, so
/// that a window is judged once; else new ones, which are stored. One that cannot be judged does not stop the
/// others.
pub(crate) async fn assess<Q>(
    context: &Context<Q>,
    settings: Settings,
    window: Window,
    from_buckets: bool,
) -> Result<(Summary, Vec<MonitorError>), MonitorError> {
    let counted = count(context, window, from_buckets).await?;
    let targets = targets(context, &counted).await?;
    let stored = context.database.ask(async |store| store.stored_reports(window.end).await).await?;
    let (mut summary, mut failures) = (Summary::new(window), Vec::new());
    let (known, new): (Vec<&Target>, Vec<&Target>) =
        targets.iter().partition(|target| stored.contains_key(&target.pair));
    add_stored(&mut summary, &known, &stored);
    let found = look(context, settings, window, &new, counted, &mut failures).await?;
    let reports: Vec<NewReport> = found.iter().map(|(_, report, _)| report.clone()).collect();
    let written = context.database.ask(async |store| store.record_reports(window, &reports).await).await?;
    if written.len() < found.len() {
        // Another run was faster, and its reports are the ones that count.
        let stored = context.database.ask(async |store| store.stored_reports(window.end).await).await?;
        let lost: Vec<&Target> =
            found.iter().filter(|(t, _, _)| !written.contains(&t.pair)).map(|(t, _, _)| *t).collect();
        add_stored(&mut summary, &lost, &stored);
    }
    for (target, report, findings) in found {
        if written.contains(&target.pair) {
            summary.add(Entry::new(target, &report, findings));
        }
    }
    Ok((summary, failures))
}

fn add_stored(summary: &mut Summary, targets: &[&Target], stored: &BTreeMap<Pair, StoredReport>) {
    for target in targets {
        if let Some(report) = stored.get(&target.pair) {
            summary.add(Entry::stored(target, report.clone()));
        }
    }
}

async fn count<Q>(
    context: &Context<Q>,
    window: Window,
    from_buckets: bool,
) -> Result<BTreeMap<Pair, Counts>, MonitorError> {
    let bounds = length_bounds();
    let count = async |store: &modloop_store::Store| match from_buckets {
        true => store.read_window(window, grid(&bounds)).await,
        false => store.count_window(window, grid(&bounds)).await,
    };
    Ok(context.database.ask(count).await?)
}

/// Enabled communities with a model that decided in the window.
async fn targets<Q>(
    context: &Context<Q>,
    counted: &BTreeMap<Pair, Counts>,
) -> Result<Vec<Target>, MonitorError> {
    let read =
        async |store: &modloop_store::Store| futures::try_join!(store.communities(), store.model_rows());
    let (communities, models) = context.database.ask(read).await?;
    let mut targets = Vec::new();
    for community in communities.iter().filter(|community| community.enabled) {
        for model in &models {
            let pair = Pair { community: community.id, model: model.id };
            if counted.contains_key(&pair) {
                targets.push(Target {
                    pair,
                    community: community.community.clone(),
                    thresholds: community.thresholds.clone(),
                    model: model.version.clone(),
                    labels: model.labels.clone(),
                });
            }
        }
    }
    Ok(targets)
}

type Found<'a> = (&'a Target, NewReport, Vec<Finding>);

/// Judges the targets that have no report yet.
async fn look<'a, Q>(
    context: &Context<Q>,
    settings: Settings,
    window: Window,
    targets: &[&'a Target],
    mut counted: BTreeMap<Pair, Counts>,
    failures: &mut Vec<MonitorError>,
) -> Result<Vec<Found<'a>>, MonitorError> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let pairs: Vec<Pair> = targets.iter().map(|target| target.pair).collect();
    let read = async |store: &modloop_store::Store| {
        futures::try_join!(store.past(&pairs, window.start), store.outcomes(window))
    };
    let (past, mut labeled) = context.database.ask(read).await?;
    let references = References::read(context, settings.reference_items, targets, window).await?;
    let mut found = Vec::new();
    for &target in targets {
        let Some(counts) = counted.remove(&target.pair) else { continue };
        let view = View {
            current: chunk(counts, &target.labels),
            past: past.get(&target.pair).copied().unwrap_or_default(),
            labeled: by_label(labeled.remove(&target.pair).unwrap_or_default()),
        };
        match references.of(target) {
            Ok(known) => {
                let (report, findings) = report(target, settings, window, &known, view);
                found.push((target, report, findings));
            }
            Err(error) => {
                tracing::error!(community = %target.community, model = %target.model, reason = %error, "no report");
                failures.push(error);
            }
        }
    }
    Ok(found)
}

fn report(
    target: &Target,
    settings: Settings,
    window: Window,
    known: &Known,
    view: View,
) -> (NewReport, Vec<Finding>) {
    let View { current, past, labeled } = view;
    let reference_items = known.reference.as_ref().map_or(0, |reference| reference.whole().items);
    let sizes = Sizes { window: current.items, reference: reference_items };
    let found = match &known.reference {
        Some(reference) if sizes.window.min(sizes.reference) >= settings.policy.minimum_items => {
            findings(reference, &current, &labeled, target.thresholds.all)
        }
        _ => Vec::new(),
    };
    let judgement = judge(sizes, &found, settings.policy, history(past), window.end);
    let report = NewReport {
        pair: target.pair,
        items: sizes.window,
        verdict: judgement.verdict,
        breaches: judgement.breaches,
        summary: judgement.summary,
        statistics: statistics(known.kind, sizes, &found, &labeled),
    };
    (report, found)
}

fn history(past: Past) -> History {
    let Past { breaches, episode_open, last_episode_closed } = past;
    History { breaches, episode_open, last_episode_closed }
}

fn statistics(
    kind: ReferenceKind,
    sizes: Sizes,
    found: &[Finding],
    labeled: &BTreeMap<Label, Outcomes>,
) -> serde_json::Value {
    json!({
        "reference": kind,
        "reference_items": sizes.reference,
        "alpha": ALPHA / found.len().max(1) as f64,
        "findings": found,
        "labeled": labeled,
    })
}

fn by_label(counted: Vec<LabelOutcomes>) -> BTreeMap<Label, Outcomes> {
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
    by_label
}
