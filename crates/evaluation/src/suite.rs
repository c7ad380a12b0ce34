use std::collections::BTreeMap;

use modloop_domain::{Label, Probability};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ScoredText;
use crate::dev::truths;
use crate::metrics::{Judged, Measures, measure, ratio};
use crate::scored::Judge;

/// JSON lines `{"function", "text", and per label 0, 1 or null}`, written for this project.
const SUITE: &str = include_str!("../suite/functions.jsonl");

/// One text that a model should be able to judge.
#[derive(Debug, Clone, PartialEq)]
pub struct SuiteCase {
    /// What is tried.
    pub function: String,
    /// What is scored.
    pub text: String,
    /// Per label of the model: has it, has it not, or either is fine.
    pub truth: Vec<Option<bool>>,
}

#[derive(Deserialize)]
struct RawCase {
    function: String,
    text: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// The functional suite as far as it knows the model's labels.
pub fn suite(labels: &[Label]) -> Vec<SuiteCase> {
    let parse = |line: &str| {
        let raw: RawCase = serde_json::from_str(line).expect("a test reads every line of the suite");
        let truth = truths(&raw.rest, labels).expect("a test reads every answer of the suite");
        SuiteCase { function: raw.function, text: raw.text, truth }
    };
    SUITE.lines().map(parse).collect()
}

/// What a model makes of the functional suite, at its review threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuiteResult {
    /// Per label, on all cases that have an answer for it.
    pub labels: BTreeMap<Label, Measures>,
    /// In the suite's order.
    pub functions: Vec<FunctionResult>,
    /// Every case, in the suite's order: two models can be compared case by case.
    pub cases: Vec<CaseResult>,
}

/// All cases of one function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionResult {
    /// What is tried.
    pub function: String,
    /// Cases, and how many are right for every label.
    pub all: Tally,
    /// Per label, on the cases that have an answer for it.
    pub labels: BTreeMap<Label, Tally>,
}

/// Right answers among cases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Cases with an answer.
    pub cases: usize,
    /// Cases with the right one.
    pub passed: usize,
}

impl Tally {
    /// Share of right answers.
    pub fn accuracy(self) -> Option<f64> {
        ratio(self.passed, self.cases)
    }

    fn record(&mut self, passed: bool) {
        self.cases += 1;
        self.passed += usize::from(passed);
    }
}

/// One case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// What is tried.
    pub function: String,
    /// What was scored.
    pub text: String,
    /// Labels with an answer, and the answer.
    pub expected: BTreeMap<Label, bool>,
    /// What the model says.
    pub scores: BTreeMap<Label, Probability>,
    /// Labels it gets wrong; empty when the case passes.
    pub failed: Vec<Label>,
}

impl CaseResult {
    /// Whether every label with an answer is right.
    pub fn passed(&self) -> bool {
        self.failed.is_empty()
    }
}

/// Judges each case's scores at the review threshold.
pub(crate) fn judge_suite(cases: &[SuiteCase], scored: &[ScoredText], judge: &Judge) -> SuiteResult {
    let cases: Vec<CaseResult> =
        cases.iter().zip(scored).map(|(case, scored)| judge_case(case, scored, judge)).collect();
    let mut functions: Vec<FunctionResult> = Vec::new();
    for case in &cases {
        if functions.last().is_none_or(|last| last.function != case.function) {
            let function = case.function.clone();
            functions.push(FunctionResult { function, all: Tally::default(), labels: BTreeMap::new() });
        }
        if let Some(function) = functions.last_mut() {
            function.all.record(case.passed());
            for label in case.expected.keys() {
                function.labels.entry(label.clone()).or_default().record(!case.failed.contains(label));
            }
        }
    }
    let threshold = judge.thresholds.review().get();
    let measures = |label: &Label| {
        let judged = cases.iter().filter_map(|c| Some((c.scores.get(label)?.get(), *c.expected.get(label)?)));
        measure(&judged.collect::<Vec<Judged>>(), threshold)
    };
    let labels = judge.labels.iter().map(|label| (label.clone(), measures(label))).collect();
    SuiteResult { labels, functions, cases }
}

fn judge_case(case: &SuiteCase, scored: &ScoredText, judge: &Judge) -> CaseResult {
    let answered = judge.labels.iter().zip(&case.truth);
    let expected: BTreeMap<Label, bool> =
        answered.filter_map(|(label, truth)| Some((label.clone(), (*truth)?))).collect();
    let scores: BTreeMap<Label, Probability> =
        judge.labels.iter().cloned().zip(scored.scores.iter().copied()).collect();
    let wrong = |label: &&Label| {
        let given = scores.get(*label).is_some_and(|score| *score >= judge.thresholds.review());
        expected.get(*label).is_some_and(|truth| *truth != given)
    };
    let failed = judge.labels.iter().filter(wrong).cloned().collect();
    CaseResult { function: case.function.clone(), text: case.text.clone(), expected, scores, failed }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use modloop_bundle::Calibration;
    use modloop_domain::{Decision, Thresholds};

    use super::*;

    fn labels() -> Vec<Label> {
        ["hate", "offensive"].map(|label| label.parse().expect("a label")).to_vec()
    }

    #[test]
    fn the_suite_is_well_formed() {
        let cases = suite(&labels());
        assert!((250..=450).contains(&cases.len()), "{} cases", cases.len());
        let distinct: HashSet<&str> = cases.iter().map(|case| case.text.trim()).collect();
        assert_eq!(distinct.len(), cases.len(), "a text is there twice");
        for SuiteCase { function, text, truth } in &cases {
            assert!(!function.is_empty() && !text.trim().is_empty(), "{function}: {text}");
            assert!(truth.iter().any(Option::is_some), "no answer: {text}");
            assert!(truth[0] != Some(true) || truth[1] != Some(false), "hate that offends nobody: {text}");
        }
    }

    #[test]
    fn the_suite_is_balanced() {
        let cases = suite(&labels());
        for label in 0..2 {
            let answers: Vec<bool> = cases.iter().filter_map(|case| case.truth[label]).collect();
            let share = answers.iter().filter(|truth| **truth).count() as f64 / answers.len() as f64;
            assert!((0.35..=0.65).contains(&share), "label {label} has {share}");
        }
        // Each function's cases stand together, and there are enough of them to say something.
        let runs: Vec<&[SuiteCase]> = cases.chunk_by(|a, b| a.function == b.function).collect();
        let names: BTreeSet<&str> = runs.iter().map(|run| run[0].function.as_str()).collect();
        assert_eq!(names.len(), runs.len(), "a function's cases are apart");
        for run in runs {
            assert!(run.len() >= 6, "{} has {} cases", run[0].function, run.len());
        }
        // No length gives the answer away.
        let mean = |hateful: bool| {
            let of_class = cases.iter().filter(|case| case.truth[0] == Some(hateful));
            let lengths: Vec<usize> = of_class.map(|case| case.text.len()).collect();
            lengths.iter().sum::<usize>() as f64 / lengths.len() as f64
        };
        let ratio = mean(true) / mean(false);
        assert!((0.6..1.6).contains(&ratio), "hateful cases are {ratio} times as long");
    }

    #[test]
    fn failures_are_named_by_label() {
        let p = |value| Probability::new(value).expect("a probability");
        let judge = Judge {
            labels: labels(),
            calibrations: vec![Calibration::IDENTITY; 2],
            thresholds: Thresholds::new(p(0.5), p(0.95)).expect("in order"),
        };
        let case = |function: &str, truth: [Option<bool>; 2]| SuiteCase {
            function: function.into(),
            text: format!("{truth:?}"),
            truth: truth.to_vec(),
        };
        let cases = [
            case("one", [Some(true), None]),
            case("one", [Some(false), Some(true)]),
            case("two", [None, Some(false)]),
        ];
        let scored = [[0.6, 0.1], [0.5, 0.4], [0.9, 0.1]]
            .map(|scores| ScoredText { scores: scores.map(p).to_vec(), decision: Decision::Review });
        let result = judge_suite(&cases, &scored, &judge);
        let failed: Vec<usize> = result.cases.iter().map(|case| case.failed.len()).collect();
        assert_eq!(failed, [0, 2, 0]);
        assert_eq!(result.functions.len(), 2);
        assert_eq!(result.functions[0].all, Tally { cases: 2, passed: 1 });
        assert_eq!(result.functions[0].labels[&labels()[1]], Tally { cases: 1, passed: 0 });
        assert_eq!(result.functions[1].all.accuracy(), Some(1.0));
        assert_eq!(result.labels[&labels()[0]].items, 2);
    }
}
