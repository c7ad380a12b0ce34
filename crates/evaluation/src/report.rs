use std::collections::BTreeMap;
use std::fmt;

use modloop_bundle::Bundle;
use modloop_domain::Label;
use serde::Serialize;

use crate::Parity;
use crate::metrics::Measures;

/// What is written into the bundle as `metrics`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metrics {
    /// Texts of the validation set that were scored.
    pub dev_lines: usize,
    /// Where precision, recall and F1 are measured.
    pub threshold: f32,
    /// Per label.
    pub labels: BTreeMap<Label, LabelMetrics>,
    /// Against fp32.
    pub parity: Parity,
    /// Of one core, on the machine that assembled the bundle.
    pub milliseconds_per_window: f64,
}

/// Measures of one label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelMetrics {
    /// On all texts that are annotated for it.
    pub overall: Measures,
    /// The same by the data set a text comes from.
    pub by_source: BTreeMap<String, Measures>,
}

/// A finished bundle and what was measured.
#[derive(Debug, Clone)]
pub struct Report {
    /// On disk, checked.
    pub bundle: Bundle,
    /// As in its manifest.
    pub metrics: Metrics,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metrics = &self.metrics;
        writeln!(f, "{} in {}", self.bundle.version(), self.bundle.dir().display())?;
        for (label, measured) in &metrics.labels {
            line(f, &format!("{label}, all sources"), &measured.overall)?;
            for (source, measures) in &measured.by_source {
                line(f, &format!("  {source}"), measures)?;
            }
        }
        let Parity { items, decision_flips, largest_difference, .. } = metrics.parity;
        writeln!(
            f,
            "int8 against fp32: {decision_flips} flips in {items}, scores within {largest_difference:.4}"
        )?;
        write!(f, "{:.2} ms a window on one core", metrics.milliseconds_per_window)
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, m: &Measures) -> fmt::Result {
    let share = |value: Option<f64>| value.map_or("   –".to_owned(), |v| format!("{v:.3}"));
    writeln!(
        f,
        "{name:<24} {:>6} texts, prevalence {}, macro-F1 {}, AUROC {}, calibration error {}",
        m.items,
        share(m.prevalence),
        share(m.macro_f1),
        share(m.auroc),
        share(m.calibration_error),
    )
}
