//! Measures of a model on the dev set. The scores here are not calibrated yet.

use std::collections::BTreeMap;

use serde::Serialize;
use tch::Tensor;

use modloop_domain::Label;

use crate::TrainError;
use crate::batches::{Batch, by_length};
use crate::bert::{Classifier, Mode};
use crate::metrics::{self, AtThreshold, Scored};
use crate::tokens::Encoded;

/// One label, over all of dev or one source of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Lines that have an answer.
    pub lines: usize,
    /// Of these, how many say yes.
    pub positive: usize,
    /// `None` when a class is missing.
    pub auroc: Option<f64>,
    /// At a score of one half.
    pub at_half: AtThreshold,
    /// At the threshold that is best over all of dev.
    pub at_best: AtThreshold,
}

/// One label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelReport {
    /// Over all of dev.
    pub all: Measured,
    /// By source.
    pub sources: BTreeMap<String, Measured>,
}

/// By label.
pub type DevReport = BTreeMap<Label, LabelReport>;

/// Probabilities `[label]` of every line, in the lines' order.
pub fn scores(
    model: &Classifier,
    lines: &[Encoded],
    batch_size: usize,
    mut done: impl FnMut(&Batch),
) -> Result<Vec<Vec<f32>>, TrainError> {
    let lengths: Vec<usize> = lines.iter().map(|l| l.ids.len()).collect();
    let mut scores = vec![Vec::new(); lines.len()];
    for chosen in by_length(&lengths, batch_size) {
        let batch = Batch::new(lines, &chosen, model.store().device())?;
        let logits: Tensor = tch::no_grad(|| model.forward(&batch.input_ids, &batch.mask, Mode::Inference))?;
        let rows = Vec::<Vec<f32>>::try_from(logits.f_sigmoid()?)?;
        for (&line, row) in chosen.iter().zip(rows) {
            scores[line] = row;
        }
        done(&batch);
    }
    Ok(scores)
}

/// Compares scores with the lines' answers.
pub fn report(lines: &[Encoded], scores: &[Vec<f32>], labels: &[Label]) -> DevReport {
    labels.iter().enumerate().map(|(at, label)| (label.clone(), label_report(lines, scores, at))).collect()
}

fn label_report(lines: &[Encoded], scores: &[Vec<f32>], at: usize) -> LabelReport {
    let mut all: Vec<Scored> = Vec::new();
    let mut sources: BTreeMap<String, Vec<Scored>> = BTreeMap::new();
    for (line, row) in lines.iter().zip(scores) {
        if let Some(truth) = line.answers[at] {
            all.push((row[at], truth));
            sources.entry(line.source.clone()).or_default().push((row[at], truth));
        }
    }
    let best = metrics::best_threshold(&all).threshold;
    LabelReport {
        all: measured(&all, best),
        sources: sources.into_iter().map(|(name, scored)| (name, measured(&scored, best))).collect(),
    }
}

fn measured(scored: &[Scored], best: f32) -> Measured {
    Measured {
        lines: scored.len(),
        positive: scored.iter().filter(|s| s.1).count(),
        auroc: metrics::auroc(scored),
        at_half: metrics::at_threshold(scored, 0.5),
        at_best: metrics::at_threshold(scored, best),
    }
}

/// What early stopping follows: the mean over the labels of macro-F1, each at its best threshold. Thresholds come out
/// of calibration later, so that one half means little here.
pub fn score(report: &DevReport) -> f64 {
    let of_labels: Vec<f64> = report.values().map(|label| label.all.at_best.macro_f1).collect();
    of_labels.iter().sum::<f64>() / of_labels.len().max(1) as f64
}

/// Lines such as `dev:macro_f1=0.8123;`, which metric definitions of a training service find by a pattern.
pub fn metric_lines(report: &DevReport) -> String {
    let mut text = format!("dev:macro_f1={:.4};\n", score(report));
    for (label, of_label) in report {
        text += &format!("dev:{label}:macro_f1={:.4};", of_label.all.at_best.macro_f1);
        text += &of_label.all.auroc.map_or(String::new(), |auroc| format!(" dev:{label}:auroc={auroc:.4};"));
        text.push('\n');
    }
    text
}

/// One line a label and source, for people.
pub fn table(report: &DevReport) -> String {
    let mut text = String::new();
    for (label, of_label) in report {
        let rows = of_label.sources.iter().map(|(name, m)| (name.as_str(), m));
        for (name, m) in std::iter::once(("all", &of_label.all)).chain(rows) {
            let auroc = m.auroc.map_or("    -".to_owned(), |a| format!("{a:.3}"));
            text += &format!(
                "dev {label:<10} {name:<12} lines {:>6}  positive {:>5}  auroc {auroc}  macro-F1 {:.3} at 0.5, {:.3} at {:.3}\n",
                m.lines, m.positive, m.at_half.macro_f1, m.at_best.macro_f1, m.at_best.threshold,
            );
        }
    }
    text
}
