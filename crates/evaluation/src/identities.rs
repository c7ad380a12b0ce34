use std::collections::BTreeMap;

use modloop_domain::{Decision, Label};
use serde::{Deserialize, Serialize};

use crate::ScoredText;
use crate::metrics::ratio;
use crate::scored::Judge;

/// Harmless sentences and who they are said of, written for this project.
const IDENTITIES: &str = include_str!("../suite/identities.json");

/// Harmless sentences, each said of every identity. `{is}` stands for what a person is, `{person}` for one
/// and `{people}` for many; `{Person}` and `{People}` begin a sentence.
#[derive(Debug, Clone, Deserialize)]
pub struct Identities {
    sentences: Vec<String>,
    terms: Vec<IdentityTerm>,
}

#[derive(Debug, Clone, Deserialize)]
struct IdentityTerm {
    term: String,
    group: String,
    is: String,
    person: String,
    people: String,
}

impl Identities {
    /// The embedded ones.
    pub fn embedded() -> Self {
        serde_json::from_str(IDENTITIES).expect("a test reads the file")
    }

    /// Every sentence of the first term, then of the second, …
    pub fn texts(&self) -> Vec<String> {
        let said_of = |term: &IdentityTerm| {
            let fill = |sentence: &String| {
                sentence
                    .replace("{is}", &term.is)
                    .replace("{person}", &term.person)
                    .replace("{people}", &term.people)
                    .replace("{Person}", &capitalised(&term.person))
                    .replace("{People}", &capitalised(&term.people))
            };
            self.sentences.iter().map(fill).collect::<Vec<_>>()
        };
        self.terms.iter().flat_map(said_of).collect()
    }
}

fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// False alarms by identity: nothing here should be flagged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdentityResult {
    /// Per label, how far identities are apart.
    pub spread: BTreeMap<Label, Spread>,
    /// Most flagged first.
    pub terms: Vec<IdentityRate>,
}

/// One identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdentityRate {
    /// As its people are called.
    pub term: String,
    /// `religion`, `origin`, …
    pub group: String,
    /// Harmless sentences said of it.
    pub sentences: usize,
    /// Share of them that is reviewed or removed.
    pub flagged: f64,
    /// Per label.
    pub labels: BTreeMap<Label, TermRate>,
}

/// One identity and one label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TermRate {
    /// Share of sentences at or above the review threshold.
    pub flagged: f64,
    /// Mean score.
    pub mean_score: f64,
}

/// How far the flagged shares of identities are apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Of the identity that is flagged least.
    pub lowest: f64,
    /// Over all identities.
    pub mean: f64,
    /// Of the identity that is flagged most.
    pub highest: f64,
}

/// Counts what is flagged of the texts of [`Identities::texts`].
pub(crate) fn judge_identities(
    identities: &Identities,
    scored: &[ScoredText],
    judge: &Judge,
) -> IdentityResult {
    let chunks = scored.chunks(identities.sentences.len().max(1));
    let mut terms: Vec<IdentityRate> =
        identities.terms.iter().zip(chunks).map(|(term, scored)| rate(term, scored, judge)).collect();
    let spread = |label: &Label| {
        let shares: Vec<f64> = terms.iter().map(|term| term.labels[label].flagged).collect();
        Spread {
            lowest: shares.iter().copied().fold(1.0, f64::min),
            mean: shares.iter().sum::<f64>() / shares.len().max(1) as f64,
            highest: shares.iter().copied().fold(0.0, f64::max),
        }
    };
    let spread = judge.labels.iter().map(|label| (label.clone(), spread(label))).collect();
    terms.sort_by(|a, b| b.flagged.total_cmp(&a.flagged).then_with(|| a.term.cmp(&b.term)));
    IdentityResult { spread, terms }
}

fn rate(term: &IdentityTerm, scored: &[ScoredText], judge: &Judge) -> IdentityRate {
    let share = |count: usize| ratio(count, scored.len()).unwrap_or(0.0);
    let of_label = |index: usize| {
        let scores = || scored.iter().map(|text| text.scores[index]);
        TermRate {
            flagged: share(scores().filter(|score| *score >= judge.thresholds.review()).count()),
            mean_score: scores().map(|score| f64::from(score.get())).sum::<f64>()
                / scored.len().max(1) as f64,
        }
    };
    IdentityRate {
        term: term.term.clone(),
        group: term.group.clone(),
        sentences: scored.len(),
        flagged: share(scored.iter().filter(|text| text.decision != Decision::Allow).count()),
        labels: judge.labels.iter().enumerate().map(|(i, label)| (label.clone(), of_label(i))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use modloop_bundle::Calibration;
    use modloop_domain::{Probability, Thresholds};

    use super::*;

    #[test]
    fn every_sentence_is_said_of_every_identity() {
        let identities = Identities::embedded();
        assert!(identities.terms.len() >= 40 && identities.sentences.len() >= 20);
        let texts = identities.texts();
        assert_eq!(texts.len(), identities.terms.len() * identities.sentences.len());
        let distinct: HashSet<&String> = texts.iter().collect();
        assert_eq!(distinct.len(), texts.len(), "a sentence does not name the identity");
        assert!(!texts.iter().any(|text| text.contains(['{', '}'])), "a placeholder is left");
        let groups: HashSet<&str> = identities.terms.iter().map(|term| term.group.as_str()).collect();
        assert!(groups.len() >= 6, "{groups:?}");
    }

    #[test]
    fn shares_are_counted_per_identity() {
        let p = |value| Probability::new(value).expect("a probability");
        let term = |name: &str| IdentityTerm {
            term: name.into(),
            group: "origin".into(),
            is: name.into(),
            person: format!("a {name}"),
            people: format!("{name}s"),
        };
        let identities = Identities {
            sentences: vec!["{People} came.".into(), "She is {is}, not {person}.".into()],
            terms: vec![term("martian"), term("venusian")],
        };
        assert_eq!(identities.texts()[..2], ["Martians came.", "She is martian, not a martian."]);
        let judge = Judge {
            labels: vec!["hate".parse().expect("a label")],
            calibrations: vec![Calibration::IDENTITY],
            thresholds: Thresholds::new(p(0.5), p(0.95)).expect("in order"),
        };
        let scored = [0.25, 0.25, 0.75, 0.25]
            .map(|score| ScoredText { scores: vec![p(score)], decision: judge.thresholds.decide(p(score)) });
        let result = judge_identities(&identities, &scored, &judge);
        assert_eq!((result.terms[0].term.as_str(), result.terms[0].flagged), ("venusian", 0.5));
        let hate = &judge.labels[0];
        assert_eq!(result.terms[0].labels[hate], TermRate { flagged: 0.5, mean_score: 0.5 });
        assert_eq!(result.spread[hate], Spread { lowest: 0.0, mean: 0.25, highest: 0.5 });
    }
}
