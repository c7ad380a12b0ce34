use std::collections::BTreeMap;

use modloop_bundle::Calibration;
use modloop_domain::{Label, ModelVersion, Thresholds};
use serde::{Deserialize, Serialize};

use crate::curves::{CurvePoint, OperatingPoint, ReliabilityBin, ScoreHistogram};
use crate::metrics::Measures;
use crate::{IdentityResult, Parity, SuiteResult, Target};

/// Everything measured about a model, exactly as it is served: `evaluation.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The model.
    pub model: ModelVersion,
    /// What its scores mean, in its order.
    pub labels: Vec<Label>,
    /// Where decisions are made; precision, recall and F1 are measured at the review threshold.
    pub thresholds: Thresholds,
    /// From logit to score.
    pub calibration: BTreeMap<Label, Calibration>,
    /// Texts by the data set they come from.
    pub sources: BTreeMap<String, usize>,
    /// Per label, on the texts that are annotated for it.
    pub by_label: BTreeMap<Label, LabelEvaluation>,
    /// The functional suite.
    pub suite: SuiteResult,
    /// False alarms by identity.
    pub identities: IdentityResult,
    /// Largest difference of a score between a text alone and the same among others.
    pub batch_independence: Target,
    /// The served graph against fp32, where the fp32 weights were at hand.
    pub int8: Option<Parity>,
    /// Of one core, on the machine that measured.
    pub milliseconds_per_window: f64,
}

impl Evaluation {
    /// Texts that were scored, the suite's and the identities' not counted.
    pub fn lines(&self) -> usize {
        self.sources.values().sum()
    }
}

/// What was measured about one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelEvaluation {
    /// On all texts that are annotated for it.
    pub overall: LabelMeasures,
    /// Mean over the sources that hold both classes: no source counts for more because it is large.
    pub source_mean: SourceMean,
    /// By the data set a text comes from.
    pub by_source: BTreeMap<String, LabelMeasures>,
}

/// One label on one set of texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelMeasures {
    /// In numbers.
    #[serde(flatten)]
    pub measures: Measures,
    /// At the review threshold.
    pub review: OperatingPoint,
    /// At the remove threshold.
    pub remove: OperatingPoint,
    /// Claimed against true.
    pub reliability: Vec<ReliabilityBin>,
    /// How scores are spread.
    pub histogram: ScoreHistogram,
    /// Precision and recall at every threshold.
    pub curve: Vec<CurvePoint>,
}

/// Means over sources.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceMean {
    /// How many sources hold both classes.
    pub sources: usize,
    /// See [`Measures::prevalence`].
    pub prevalence: Option<f64>,
    /// See [`Measures::macro_f1`].
    pub macro_f1: Option<f64>,
    /// See [`Measures::auroc`].
    pub auroc: Option<f64>,
    /// See [`Measures::auprc`].
    pub auprc: Option<f64>,
    /// See [`Measures::calibration_error`].
    pub calibration_error: Option<f64>,
}

impl SourceMean {
    /// Leaves out sources of one class.
    pub(crate) fn of<'a>(sources: impl Iterator<Item = &'a Measures>) -> Self {
        let both: Vec<&Measures> = sources.filter(|m| m.auroc.is_some()).collect();
        let mean = |value: fn(&Measures) -> Option<f64>| {
            let sum: f64 = both.iter().filter_map(|m| value(m)).sum();
            (!both.is_empty()).then(|| sum / both.len() as f64)
        };
        Self {
            sources: both.len(),
            prevalence: mean(|m| m.prevalence),
            macro_f1: mean(|m| m.macro_f1),
            auroc: mean(|m| m.auroc),
            auprc: mean(|m| m.auprc),
            calibration_error: mean(|m| m.calibration_error),
        }
    }
}
