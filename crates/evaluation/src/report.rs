use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;

use modloop_bundle::Bundle;
use modloop_domain::Label;
use serde::Serialize;

use crate::metrics::Measures;
use crate::{Evaluation, Parity, Spread};

/// The figures of an [`Evaluation`] without its curves: what is written into the bundle as `metrics`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metrics<'a> {
    /// Texts of the validation set that were scored.
    pub dev_lines: usize,
    /// Where precision, recall and F1 are measured.
    pub threshold: f32,
    /// Per label.
    pub labels: BTreeMap<&'a Label, LabelMetrics<'a>>,
    /// Per label, on the functional suite.
    pub suite: &'a BTreeMap<Label, Measures>,
    /// Per label, how far the false alarms of identities are apart.
    pub identities: &'a BTreeMap<Label, Spread>,
    /// Against fp32.
    pub parity: Option<&'a Parity>,
    /// Of one core, on the machine that assembled the bundle.
    pub milliseconds_per_window: f64,
}

/// Measures of one label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelMetrics<'a> {
    /// On all texts that are annotated for it.
    pub overall: &'a Measures,
    /// The same by the data set a text comes from.
    pub by_source: BTreeMap<&'a str, &'a Measures>,
}

impl Evaluation {
    /// Without curves and cases.
    pub fn metrics(&self) -> Metrics<'_> {
        let labels = self.by_label.iter().map(|(label, measured)| {
            let by_source = measured.by_source.iter().map(|(source, m)| (source.as_str(), &m.measures));
            let overall = &measured.overall.measures;
            (label, LabelMetrics { overall, by_source: by_source.collect() })
        });
        Metrics {
            dev_lines: self.lines(),
            threshold: self.thresholds.review().get(),
            labels: labels.collect(),
            suite: &self.suite.labels,
            identities: &self.identities.spread,
            parity: self.int8.as_ref(),
            milliseconds_per_window: self.milliseconds_per_window,
        }
    }
}

/// A finished bundle and what was measured.
#[derive(Debug, Clone)]
pub struct Report {
    /// On disk, checked.
    pub bundle: Bundle,
    /// As in its `evaluation.json`.
    pub evaluation: Evaluation,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} in {}", self.bundle.version(), self.bundle.dir().display())?;
        self.evaluation.fmt(f)
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["texts", "prevalence", "precision", "recall", "macro-F1", "AUROC", "AUPRC", "calib.err"];
        writeln!(f, "{:<26}{}", "", head.map(|name| format!("{name:>11}")).concat())?;
        for (label, measured) in &self.by_label {
            row(f, label.as_str(), &measured.overall.measures)?;
            for (source, m) in &measured.by_source {
                row(f, &format!("  {source}"), &m.measures)?;
            }
        }
        for (label, measures) in &self.suite.labels {
            row(f, &format!("functional suite, {label}"), measures)?;
        }
        for (label, Spread { lowest, mean, highest }) in &self.identities.spread {
            writeln!(
                f,
                "harmless sentences flagged for {label}: {:.1} % in the mean, {:.1} to {:.1} % by identity",
                mean * 100.0,
                lowest * 100.0,
                highest * 100.0
            )?;
        }
        if let Some(parity) = &self.int8 {
            parity_lines(f, parity)?;
        }
        let alone = self.batch_independence;
        let most = small(alone.measured);
        writeln!(f, "a text alone or among others: scores differ by {most} at most ({})", met(alone.met))?;
        write!(f, "{:.2} ms a window on one core", self.milliseconds_per_window)
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, m: &Measures) -> fmt::Result {
    let share = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.3}"));
    let shares = [m.prevalence, m.precision, m.recall, m.macro_f1, m.auroc, m.auprc, m.calibration_error];
    writeln!(f, "{name:<26}{:>11}{}", m.items, shares.map(|v| format!("{:>11}", share(v))).concat())
}

fn parity_lines(f: &mut fmt::Formatter<'_>, parity: &Parity) -> fmt::Result {
    let Parity { items, decision_flips, flip_share, largest_difference, .. } = parity;
    writeln!(
        f,
        "int8 against fp32: {decision_flips} decisions of {items} differ, {:.2} % ({}), scores within {largest_difference:.4}",
        flip_share.measured * 100.0,
        met(flip_share.met)
    )?;
    for (label, measured) in &parity.labels {
        if let Some(loss) = measured.loss {
            let met = met(loss.met);
            writeln!(f, "int8 costs {label} {:.2} points of macro-F1 ({met})", loss.measured)?;
        }
    }
    Ok(())
}

/// A number far below one.
pub(crate) fn small(number: impl Borrow<f64>) -> String {
    let number = *number.borrow();
    if number == 0.0 { "0".to_owned() } else { format!("{number:.0e}") }
}

pub(crate) fn met(met: bool) -> &'static str {
    if met { "target met" } else { "target missed" }
}
