use std::collections::BTreeMap;

use modloop_domain::Label;
use serde::{Deserialize, Serialize};

/// The same measure of both models.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Pair<T> {
    /// Of the model in service.
    pub champion: T,
    /// Of the model that wants to be.
    pub challenger: T,
}

/// A part of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rate {
    /// How many.
    pub part: u64,
    /// Of how many.
    pub whole: u64,
}

impl Rate {
    /// As a share; zero of nothing is zero.
    pub fn share(self) -> f64 {
        if self.whole == 0 { 0.0 } else { self.part as f64 / self.whole as f64 }
    }
}

/// What both models say about one label of one text, and what is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The text has the label.
    pub truth: bool,
    /// The champion's score reaches the review threshold.
    pub champion: bool,
    /// The challenger's does.
    pub challenger: bool,
}

/// A text of the gold set.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Where it was posted.
    pub community: String,
    /// Whether that community drifted.
    pub drifted: bool,
    /// How many texts it stands for.
    pub weight: f64,
    /// In the order of the labels; `None` where the truth is not known.
    pub outcomes: Vec<Option<Outcome>>,
    /// Whether each model flags the text at all, labels known or not.
    pub flagged: Pair<bool>,
}

/// Everything the gate looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Contest {
    /// What is scored.
    pub labels: Vec<Label>,
    /// The gold set.
    pub items: Vec<Judged>,
    /// Cases of the functional suite that each model passes.
    pub functional: Pair<Rate>,
    /// Harmless texts that mention an identity, and how many of them each model flags, by term.
    pub identity: BTreeMap<String, Pair<Rate>>,
    /// Texts on which the challenger's served graph decides differently from fp32.
    pub parity_flips: Rate,
    /// Of the challenger, packed.
    pub bundle_bytes: u64,
    /// To score a text of the gold set, on this machine.
    pub milliseconds: Pair<f64>,
}
