use std::collections::BTreeMap;

use modloop_domain::Label;
use modloop_evaluation::metrics::{Judged, Measures, measure};
use modloop_labeler::Agreement;
use modloop_store::labels::{AgreementCounts, LabeledItem};
use serde::Serialize;

/// Where the champion is measured: what a community gets that has no threshold of its own.
const THRESHOLD: f32 = 0.5;

/// How good the champion is on this run's labels, by label.
pub(super) fn champion_quality(items: &[LabeledItem], labels: &[Label]) -> BTreeMap<Label, Measures> {
    let judged = |index: usize, label: &Label| -> Vec<Judged> {
        let items = items.iter().filter(|item| item.in_run);
        items
            .filter_map(|item| {
                let (truth, _source) = item.labels.get(label)?;
                Some((*item.champion_scores.as_ref()?.get(index)?, *truth))
            })
            .collect()
    };
    let labels = labels.iter().enumerate();
    labels.map(|(index, label)| (label.clone(), measure(&judged(index, label), THRESHOLD))).collect()
}

/// How far labeler and people agree about a label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct LabelAgreement {
    pub(super) items: u64,
    /// Same answers.
    pub(super) share: Option<f64>,
    /// Cohen's; chance taken off.
    pub(super) kappa: Option<f64>,
}

/// By label.
pub(super) fn agreements(agreed: &[AgreementCounts]) -> BTreeMap<Label, LabelAgreement> {
    let entry = |agreed: &AgreementCounts| {
        let found = Agreement {
            both: agreed.both,
            labeler_only: agreed.llm_only,
            human_only: agreed.human_only,
            neither: agreed.neither,
        };
        let entry = LabelAgreement { items: found.items(), share: found.share(), kappa: found.kappa() };
        (agreed.label.clone(), entry)
    };
    agreed.iter().map(entry).collect()
}

/// Why labels are not to be trusted, if so: a label with enough answers in common agrees too little.
pub(super) fn distrust(
    agreements: &BTreeMap<Label, LabelAgreement>,
    min_items: u64,
    least_kappa: f64,
) -> Option<String> {
    let judged = agreements.iter().filter(|(_, found)| found.items >= min_items);
    // Where everybody says the same of everything kappa is not defined, and the share is 1.
    let value = |found: &LabelAgreement| found.kappa.or(found.share).unwrap_or(0.0);
    let (label, found) = judged.min_by(|a, b| value(a.1).total_cmp(&value(b.1)))?;
    (value(found) < least_kappa).then(|| {
        let (items, kappa) = (found.items, value(found));
        format!("labeler and people agree too little about {label}: kappa {kappa:.2} on {items} texts, at least {least_kappa:.2} is needed")
    })
}
