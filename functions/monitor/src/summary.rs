use modloop_domain::{Community, DriftVerdict, ModelVersion};
use modloop_drift::{Finding, Measure};
use modloop_store::drift::{NewReport, StoredReport, Target, Window};
use modloop_telemetry::Metrics;
use serde::Serialize;
use serde_json::Value;

/// What the function answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// What was looked at.
    pub window: Window,
    /// The worst of all; `insufficient` where nothing was predicted.
    pub verdict: DriftVerdict,
    /// One for each community and model that decided there.
    pub reports: Vec<Entry>,
    /// How many were sent now.
    pub retrain_requests: usize,
}

/// The report on one community and model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Whose items.
    pub community: Community,
    /// Which model.
    pub model: ModelVersion,
    /// In one word.
    pub verdict: DriftVerdict,
    /// Windows in a row with a breach, this one included.
    pub breaches: u32,
    /// In one sentence.
    pub summary: String,
    /// Predictions in the window.
    pub items: u64,
    /// Everything that was computed.
    pub statistics: Value,
    /// Empty for a report that was stored by an earlier run.
    #[serde(skip)]
    pub(crate) findings: Vec<Finding>,
}

impl Entry {
    pub(crate) fn new(target: &Target, report: &NewReport, findings: Vec<Finding>) -> Self {
        Self {
            community: target.community.clone(),
            model: target.model.clone(),
            verdict: report.verdict,
            breaches: report.breaches,
            summary: report.summary.clone(),
            items: report.items,
            statistics: report.statistics.clone(),
            findings,
        }
    }

    pub(crate) fn stored(target: &Target, report: StoredReport) -> Self {
        Self {
            community: target.community.clone(),
            model: target.model.clone(),
            verdict: report.verdict,
            breaches: report.breaches,
            summary: report.summary,
            items: report.items,
            statistics: report.statistics,
            findings: Vec::new(),
        }
    }

    /// The worst value over labels of each statistic. The verdict is said with every run, so that an alarm on
    /// it has a value each hour; the rest once a window.
    fn emit(&self) {
        let worst = |measure| {
            let values = self.findings.iter().filter(|f| f.measure == measure).map(|f| f.value);
            values.reduce(if is_better_high(measure) { f64::min } else { f64::max }).unwrap_or(f64::NAN)
        };
        let metrics = Metrics::new("monitor")
            .dimension("Community", &self.community)
            .count("DriftVerdict", u64::from(self.verdict == DriftVerdict::Drift));
        // Numbers that are NaN are left out.
        let metrics =
            if self.findings.is_empty() { metrics } else { metrics.count("WindowItems", self.items) };
        metrics
            .number("Psi", worst(Measure::Psi))
            .number("WassersteinNormed", worst(Measure::WassersteinNormed))
            .number("Ks", worst(Measure::Ks))
            .number("JsDistance", worst(Measure::JsDistance))
            .number("ShareChange", worst(Measure::ShareChange))
            .number("EstimatedF1", worst(Measure::EstimatedF1))
            .number("MeasuredF1", worst(Measure::MeasuredF1))
            .emit();
    }
}

fn is_better_high(measure: Measure) -> bool {
    matches!(measure, Measure::EstimatedF1 | Measure::MeasuredF1)
}

impl Summary {
    pub(crate) fn new(window: Window) -> Self {
        Self { window, verdict: DriftVerdict::Insufficient, reports: Vec::new(), retrain_requests: 0 }
    }

    pub(crate) fn add(&mut self, entry: Entry) {
        let so_far = if self.reports.is_empty() { entry.verdict } else { self.verdict };
        self.verdict = so_far.max(entry.verdict);
        self.reports.push(entry);
    }

    pub(crate) fn emit(&self, failed: usize) {
        self.reports.iter().for_each(Entry::emit);
        Metrics::new("monitor")
            .count("Reports", self.reports.len() as u64)
            .count("RetrainRequests", self.retrain_requests as u64)
            .count("Failed", failed as u64)
            .emit();
    }
}
