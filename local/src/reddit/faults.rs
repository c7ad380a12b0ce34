//! Answers that go wrong on purpose: exactly one in ten, at places that a seed decides.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// One answer in so many is faulty.
const ONE_IN: u64 = 10;

/// How a tenth of the answers go wrong.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// Decides which ones.
    pub seed: u64,
    /// How long a request is kept waiting: more than the client's timeout.
    pub hold: Duration,
}

/// What an answer is instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    /// 429 with a web page and `Retry-After`.
    TooManyHtml,
    /// 429 with JSON and `Retry-After`.
    TooManyJson,
    /// 503 with nothing.
    Empty,
    /// Held back until the client gives up.
    Timeout,
    /// Status 200, and half the JSON.
    Malformed,
}

impl Fault {
    const ALL: [Self; 5] =
        [Self::TooManyHtml, Self::Malformed, Self::Empty, Self::TooManyJson, Self::Timeout];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::TooManyHtml => "429 html",
            Self::TooManyJson => "429 json",
            Self::Empty => "503 empty",
            Self::Timeout => "timeout",
            Self::Malformed => "malformed json",
        }
    }
}

impl Default for Faults {
    /// For a client with the usual timeout of ten seconds.
    fn default() -> Self {
        Self::outlasting(1, Duration::from_secs(10))
    }
}

impl Faults {
    /// Timeouts that outlast a client of `timeout`.
    pub fn outlasting(seed: u64, timeout: Duration) -> Self {
        Self { seed, hold: timeout + Duration::from_secs(1) }
    }

    /// What is wrong with the `number`th answer. Kinds take turns, so that each occurs within fifty.
    pub(crate) fn of(&self, number: u64) -> Option<Fault> {
        let (block, place) = (number / ONE_IN, number % ONE_IN);
        let chosen = StdRng::seed_from_u64(self.seed.wrapping_add(block)).random_range(0..ONE_IN);
        (place == chosen).then(|| Fault::ALL[((block + self.seed) % 5) as usize])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_tenth_of_the_answers_go_wrong_in_every_way() {
        let faults = Faults { seed: 7, hold: Duration::ZERO };
        let found: Vec<_> = (0..1000).filter_map(|number| faults.of(number)).collect();
        assert_eq!(found.len(), 100);
        assert_eq!(found[..5].iter().collect::<BTreeSet<_>>().len(), 5);
        let again: Vec<_> = (0..1000).filter_map(|number| faults.of(number)).collect();
        assert_eq!(found, again);
    }
}
