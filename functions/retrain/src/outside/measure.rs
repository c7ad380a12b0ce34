use std::collections::BTreeMap;
use std::io::Write;

use modloop_bundle::Bundle;
use modloop_classifier::ClassifierOptions;
use modloop_domain::Label;
use modloop_evaluation::{DevLine, evaluate, score_lines};
use modloop_gate::Rate;
use serde_json::{Map, Value, json};

use super::Measure;
use crate::RetrainError;

/// What the gate wants to know of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Scores of each line in the order of the model's labels.
    pub scores: Vec<Vec<f32>>,
    /// To score a window on one core.
    pub milliseconds: f64,
    /// Cases of the functional suite that it passes.
    pub functional: Rate,
    /// Harmless sentences about an identity that it flags, by term.
    pub identity: BTreeMap<String, Rate>,
}

/// Bundles, measured with ONNX Runtime as inference serves them.
pub struct ServedModels {
    options: ClassifierOptions,
}

impl ServedModels {
    /// On all cores.
    pub fn new(options: ClassifierOptions) -> Self {
        Self { options }
    }
}

impl Measure for ServedModels {
    fn measure(&self, bundle: &Bundle, lines: &[DevLine]) -> Result<Measurement, RetrainError> {
        let scored = score_lines(bundle, lines, &self.options)?;
        let mut file = tempfile::Builder::new()
            .suffix(".jsonl")
            .tempfile()
            .map_err(RetrainError::file("make a file for the gold set"))?;
        for line in lines {
            writeln!(file, "{}", as_json(line, bundle.labels()))
                .map_err(RetrainError::file("write the gold set"))?;
        }
        let found = evaluate(bundle, file.path(), None, &self.options)?;
        let functional = Rate {
            part: found.suite.cases.iter().filter(|case| case.passed()).count() as u64,
            whole: found.suite.cases.len() as u64,
        };
        let rate = |flagged: f64, sentences: usize| Rate {
            part: (flagged * sentences as f64).round() as u64,
            whole: sentences as u64,
        };
        let identity = found.identities.terms.iter();
        Ok(Measurement {
            scores: scored.iter().map(|text| text.scores.iter().map(|score| score.get()).collect()).collect(),
            milliseconds: found.milliseconds_per_window,
            functional,
            identity: identity.map(|term| (term.term.clone(), rate(term.flagged, term.sentences))).collect(),
        })
    }
}

fn as_json(line: &DevLine, labels: &[Label]) -> Value {
    let mut object = Map::new();
    object.insert("source".into(), json!(line.source));
    object.insert("text".into(), json!(line.text));
    for (label, truth) in labels.iter().zip(&line.truth) {
        object.insert(label.to_string(), json!(truth.map(u8::from)));
    }
    Value::Object(object)
}
