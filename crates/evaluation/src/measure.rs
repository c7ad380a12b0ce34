use std::collections::BTreeMap;
use std::path::Path;

use modloop_bundle::{Bundle, Calibration};
use modloop_classifier::{ClassifierOptions, ScoreError};
use modloop_domain::{Label, ModelVersion};

use crate::curves::{OperatingPoint, ScoreHistogram, reliability, threshold_curve};
use crate::identities::judge_identities;
use crate::metrics::{Judged, measure};
use crate::scored::{Judge, ScoredText, judged};
use crate::scorer::{Logits, Probes, Scorer};
use crate::suite::judge_suite;
use crate::{
    DevSet, Evaluation, EvaluationError, Identities, LabelEvaluation, LabelMeasures, SourceMean, Target,
    suite,
};

/// The most by which a score may depend on what it was computed with.
pub const MAX_DEPENDENCE: f64 = 1e-5;

/// Measures a bundle as it is on a labeled set; nothing is calibrated anew.
pub fn evaluate(
    bundle: &Bundle,
    data: &Path,
    limit: Option<usize>,
    runtime: &ClassifierOptions,
) -> Result<Evaluation, EvaluationError> {
    let set = DevSet::read(data, bundle.labels(), limit)?;
    if !set.lines.iter().any(|line| line.truth.iter().any(Option::is_some)) {
        return Err(EvaluationError::NothingToMeasure { path: data.to_owned() });
    }
    let probes = Probes::of(bundle.labels());
    let logits = Scorer::of_bundle(bundle, runtime)?.everything(&set, &probes)?;
    let judge = Judge::of_bundle(bundle);
    let scored = judge.scored(&logits.dev)?;
    Ok(Measured { judge: &judge, set: &set, scored: &scored, logits: &logits, probes: &probes }
        .evaluation(bundle.version().clone())?)
}

impl Probes {
    pub(crate) fn of(labels: &[Label]) -> Self {
        Self { suite: suite(labels), identities: Identities::embedded() }
    }
}

impl Judge {
    pub(crate) fn of_bundle(bundle: &Bundle) -> Self {
        let manifest = bundle.manifest();
        let calibration =
            // `Bundle::open` refuses a label without one.
            |label| manifest.calibration.get(label).copied().unwrap_or(Calibration::IDENTITY);
        Self {
            labels: manifest.labels.clone(),
            calibrations: manifest.labels.iter().map(calibration).collect(),
            thresholds: manifest.thresholds,
        }
    }

    pub(crate) fn calibration(&self) -> BTreeMap<Label, Calibration> {
        self.labels.iter().cloned().zip(self.calibrations.iter().copied()).collect()
    }
}

/// Everything scored, to be looked at from all sides.
pub(crate) struct Measured<'a> {
    pub(crate) judge: &'a Judge,
    pub(crate) set: &'a DevSet,
    /// Of the set, in its order.
    pub(crate) scored: &'a [ScoredText],
    pub(crate) logits: &'a Logits,
    pub(crate) probes: &'a Probes,
}

impl Measured<'_> {
    pub(crate) fn evaluation(&self, model: ModelVersion) -> Result<Evaluation, ScoreError> {
        let judge = self.judge;
        let mut sources = BTreeMap::new();
        self.set.lines.iter().for_each(|line| *sources.entry(line.source.clone()).or_default() += 1);
        let by_label = judge.labels.iter().enumerate();
        let by_label = by_label.map(|(i, label)| (label.clone(), self.measure_label(i))).collect();
        let suite = judge_suite(&self.probes.suite, &judge.scored(&self.logits.suite)?, judge);
        let identities = judge.scored(&self.logits.identities)?;
        Ok(Evaluation {
            model,
            labels: judge.labels.clone(),
            thresholds: judge.thresholds,
            calibration: judge.calibration(),
            sources,
            by_label,
            suite,
            identities: judge_identities(&self.probes.identities, &identities, judge),
            batch_independence: self.batch_independence()?,
            int8: None,
            milliseconds_per_window: self.logits.milliseconds_per_window,
        })
    }

    /// One label on the lines that are annotated for it, overall and by source.
    fn measure_label(&self, index: usize) -> LabelEvaluation {
        let mut by_source: BTreeMap<&str, Vec<Judged>> = BTreeMap::new();
        for (line, scored) in self.set.lines.iter().zip(self.scored) {
            let Some(truth) = line.truth[index] else { continue };
            by_source.entry(&line.source).or_default().push((scored.scores[index].get(), truth));
        }
        let by_source =
            by_source.into_iter().map(|(source, judged)| (source.to_owned(), self.measure_set(&judged)));
        let by_source: BTreeMap<String, LabelMeasures> = by_source.collect();
        LabelEvaluation {
            overall: self.measure_set(&judged(index, &self.set.lines, self.scored)),
            source_mean: SourceMean::of(by_source.values().map(|set| &set.measures)),
            by_source,
        }
    }

    fn measure_set(&self, judged: &[Judged]) -> LabelMeasures {
        let thresholds = self.judge.thresholds;
        LabelMeasures {
            measures: measure(judged, thresholds.review().get()),
            review: OperatingPoint::at(judged, thresholds.review().get()),
            remove: OperatingPoint::at(judged, thresholds.remove().get()),
            reliability: reliability(judged),
            histogram: ScoreHistogram::of(judged),
            curve: threshold_curve(judged),
        }
    }

    fn batch_independence(&self) -> Result<Target, ScoreError> {
        let alone = self.judge.scored(&self.logits.alone)?;
        let pairs = alone.iter().zip(self.scored).flat_map(|(a, b)| a.scores.iter().zip(&b.scores));
        let largest = pairs.map(|(a, b)| f64::from((a.get() - b.get()).abs())).fold(0.0, f64::max);
        Ok(Target::at_most(MAX_DEPENDENCE, largest))
    }
}
