use std::borrow::Borrow;
use std::fs;
use std::path::Path;

use askama::Template;
use modloop_bundle::files;
use modloop_domain::Label;

use crate::curves::OperatingPoint;
use crate::metrics::Measures;
use crate::report::{met, small};
use crate::{
    CaseResult, Evaluation, EvaluationError, FunctionResult, IdentityRate, LabelEvaluation, LabelMeasures,
    Target, plots,
};

impl Evaluation {
    /// Writes `evaluation.json` and `evaluation.html` into the folder `dir`, each whole or not at all.
    pub fn write(&self, dir: &Path) -> Result<(), EvaluationError> {
        let json = serde_json::to_vec(self).map_err(|e| EvaluationError::Page(e.to_string()))?;
        for (name, bytes) in [(files::EVALUATION, json), (files::EVALUATION_PAGE, self.page()?.into_bytes())]
        {
            replace(&dir.join(name), &bytes)?;
        }
        Ok(())
    }

    /// A page that needs nothing but itself. Texts come from strangers: everything is escaped.
    pub fn page(&self) -> Result<String, EvaluationError> {
        let sections = self.by_label.iter().map(|(label, measured)| self.section(label, measured));
        let page = Page {
            evaluation: self,
            sections: sections.collect::<Result<_, _>>()?,
            failed: self.suite.cases.iter().filter(|case| !case.passed()).collect(),
        };
        page.render().map_err(|e| EvaluationError::Page(e.to_string()))
    }

    fn section<'a>(
        &self,
        label: &'a Label,
        measured: &'a LabelEvaluation,
    ) -> Result<LabelSection<'a>, EvaluationError> {
        let named = measured.by_source.iter();
        let sources = named.map(|(source, set)| self.set(source, set)).collect::<Result<_, _>>()?;
        Ok(LabelSection { label, measured, overall: self.set("all sources", &measured.overall)?, sources })
    }

    fn set<'a>(&self, name: &'a str, set: &'a LabelMeasures) -> Result<SetSection<'a>, EvaluationError> {
        let marks = [set.review.threshold, set.remove.threshold];
        Ok(SetSection {
            name,
            set,
            reliability: plots::reliability(&set.reliability)?,
            histogram: plots::histogram(&set.histogram)?,
            thresholds: plots::thresholds(&set.curve, marks)?,
        })
    }
}

/// Writes beside `path` and renames, so that a full disk leaves no half of a file there.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), EvaluationError> {
    let part = path.with_extension("part");
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, path));
    written.map_err(|error| {
        // What could not be written whole is of no use; that it may stay changes nothing about the error.
        let _ = fs::remove_file(&part);
        EvaluationError::io("write", path)(error)
    })
}

#[derive(Template)]
#[template(path = "evaluation.html")]
struct Page<'a> {
    evaluation: &'a Evaluation,
    sections: Vec<LabelSection<'a>>,
    failed: Vec<&'a CaseResult>,
}

/// One label.
struct LabelSection<'a> {
    label: &'a Label,
    measured: &'a LabelEvaluation,
    overall: SetSection<'a>,
    sources: Vec<SetSection<'a>>,
}

/// One label on one set of texts.
struct SetSection<'a> {
    name: &'a str,
    set: &'a LabelMeasures,
    reliability: String,
    histogram: String,
    thresholds: String,
}

impl SetSection<'_> {
    fn measures(&self) -> &Measures {
        &self.set.measures
    }

    fn operating_points(&self) -> [(&'static str, &OperatingPoint); 2] {
        [("review", &self.set.review), ("remove", &self.set.remove)]
    }
}

impl Page<'_> {
    /// The share of cases that a function passes, for a label that it has answers for.
    fn accuracy(&self, function: &FunctionResult, label: &Label) -> String {
        function.labels.get(label).map_or_else(dash, |tally| share(tally.accuracy()))
    }

    fn rate(&self, term: &IdentityRate, label: &Label) -> [String; 2] {
        match term.labels.get(label) {
            Some(rate) => [percent(&rate.flagged), share(Some(rate.mean_score))],
            None => [dash(), dash()],
        }
    }

    fn score(&self, case: &CaseResult, label: &Label) -> String {
        case.scores.get(label).map_or_else(dash, |score| format!("{score:.2}"))
    }

    fn names(&self, case: &CaseResult) -> String {
        let wrong = |label: &Label| match case.expected.get(label) {
            Some(true) => format!("{label} missed"),
            _ => format!("{label} false alarm"),
        };
        case.failed.iter().map(wrong).collect::<Vec<_>>().join(", ")
    }
}

fn dash() -> String {
    "–".to_owned()
}

/// With three digits, or a dash where there is no value. The template gives fields as references and
/// results as values.
fn share(value: impl Borrow<Option<f64>>) -> String {
    value.borrow().map_or_else(dash, |value| format!("{value:.3}"))
}

fn percent(value: &f64) -> String {
    format!("{:.1} %", value * 100.0)
}

fn verdict(target: &Target) -> &'static str {
    met(target.met)
}

/// Thousands apart, as people read them.
fn count(items: impl Borrow<usize>) -> String {
    let digits = items.borrow().to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
    groups.join(",")
}
