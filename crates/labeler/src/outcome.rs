use std::collections::BTreeMap;
use std::fmt;

use modloop_domain::{ItemId, Label};

use crate::{NoLabel, Spend};

/// A text that wants labels. Debug output leaves the text out.
#[derive(Clone, PartialEq, Eq)]
pub struct Unlabeled {
    /// Whose text it is; never sent anywhere.
    pub id: ItemId,
    /// What is sent and labeled.
    pub text: String,
}

impl fmt::Debug for Unlabeled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unlabeled").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What became of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whose text it was.
    pub id: ItemId,
    /// What all attempts together took, failed ones included.
    pub spent: Spend,
    /// The labels, or why there are none.
    pub result: Result<Verdict, NoLabel>,
}

/// The labels of one text.
#[derive(Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether each label of the rubric applies.
    pub answers: BTreeMap<Label, bool>,
    /// The model's reason in one line of at most 300 characters. It may quote the text: delete it with the text.
    pub rationale: String,
    /// The model that answered, as the endpoint names it.
    pub model: String,
    /// The rubric's version.
    pub rubric_version: String,
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answers, model, rubric_version, rationale: _ } = self;
        let mut out = f.debug_struct("Verdict");
        out.field("answers", answers).field("model", model).field("rubric_version", rubric_version);
        out.finish_non_exhaustive()
    }
}
