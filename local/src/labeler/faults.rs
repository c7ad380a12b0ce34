//! Answers that go wrong on purpose.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// One answer in so many is faulty.
const ONE_IN: u64 = 10;

/// What an answer is instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// 429 with `Retry-After: 1`.
    TooMany,
    /// 429 because the account has no credit left.
    NoCredit,
    /// 503 with nothing.
    Overloaded,
    /// 502: something in between lost an answer that was made and is billed.
    BadGateway,
    /// Made, billed, and held back until the client gives up.
    Timeout,
    /// Status 200, and half the JSON.
    HalfJson,
    /// Cut off in the middle, `finish_reason` is `length`.
    CutOff,
    /// The model will not answer.
    Refusal,
    /// A filter keeps the answer back.
    ContentFilter,
    /// Well-meant words around the JSON.
    Prose,
    /// One label has no answer.
    LabelMissing,
    /// Strings instead of booleans.
    WrongType,
    /// A good answer that does not say what it used.
    NoUsage,
    /// A good answer that says it used more tokens than it may have.
    Overbilled,
}

impl Fault {
    /// All of them that pass by themselves or concern one text.
    pub const PASSING: [Self; 12] = [
        Self::TooMany,
        Self::Prose,
        Self::Overloaded,
        Self::Refusal,
        Self::BadGateway,
        Self::CutOff,
        Self::Timeout,
        Self::LabelMissing,
        Self::HalfJson,
        Self::ContentFilter,
        Self::NoUsage,
        Self::WrongType,
    ];

    /// Its name in [`super::Stats`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooMany => "429",
            Self::NoCredit => "no credit",
            Self::Overloaded => "503 empty",
            Self::BadGateway => "502",
            Self::Timeout => "timeout",
            Self::HalfJson => "half json",
            Self::CutOff => "cut off",
            Self::Refusal => "refusal",
            Self::ContentFilter => "content filter",
            Self::Prose => "prose",
            Self::LabelMissing => "label missing",
            Self::WrongType => "wrong type",
            Self::NoUsage => "no usage",
            Self::Overbilled => "overbilled",
        }
    }
}

/// How a tenth of the answers go wrong.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// Decides which ones.
    pub seed: u64,
    /// How long a request is kept waiting: more than the client's timeout.
    pub hold: Duration,
}

impl Faults {
    /// What is wrong with the `number`th answer. Kinds take turns, so that each occurs within 120.
    pub(crate) fn of(&self, number: u64) -> Option<Fault> {
        let (block, place) = (number / ONE_IN, number % ONE_IN);
        let chosen = StdRng::seed_from_u64(self.seed.wrapping_add(block)).random_range(0..ONE_IN);
        let kinds = Fault::PASSING;
        let turn = block.wrapping_add(self.seed) % kinds.len() as u64;
        (place == chosen).then(|| kinds[turn as usize])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_tenth_of_the_answers_go_wrong_in_every_way() {
        let faults = Faults { seed: 7, hold: Duration::ZERO };
        let found: Vec<_> = (0..1200).filter_map(|number| faults.of(number)).collect();
        assert_eq!(found.len(), 120);
        assert_eq!(found[..12].iter().collect::<BTreeSet<_>>().len(), 12);
    }
}
