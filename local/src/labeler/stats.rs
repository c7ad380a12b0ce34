use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::faults::Fault;

/// What was asked of the stand-in so far, and what it would have cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests of any kind.
    pub requests: u64,
    /// Requests with a wrong key.
    pub wrong_keys: u64,
    /// The most requests under way at once.
    pub most_at_once: u64,
    /// Tokens of prompts that are billed, answers that never arrived included.
    pub prompt_tokens: u64,
    /// Tokens of answers that are billed.
    pub completion_tokens: u64,
    /// Faulty answers by kind.
    pub faults: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
pub(crate) struct Counters(Mutex<State>);

#[derive(Default)]
struct State {
    stats: Stats,
    under_way: u64,
}

/// One request under way, until dropped: a client that gives up drops it too.
pub(crate) struct UnderWay<'a> {
    counters: &'a Counters,
    /// How many requests came before it.
    pub(crate) number: u64,
}

impl Counters {
    pub(crate) fn begin(&self) -> UnderWay<'_> {
        let mut state = self.state();
        let number = state.stats.requests;
        state.stats.requests += 1;
        state.under_way += 1;
        state.stats.most_at_once = state.stats.most_at_once.max(state.under_way);
        UnderWay { counters: self, number }
    }

    pub(crate) fn wrong_key(&self) {
        self.state().stats.wrong_keys += 1;
    }

    pub(crate) fn fault(&self, fault: Fault) {
        *self.state().stats.faults.entry(fault.as_str()).or_default() += 1;
    }

    pub(crate) fn bill(&self, prompt: u64, completion: u64) {
        let mut state = self.state();
        state.stats.prompt_tokens += prompt;
        state.stats.completion_tokens += completion;
    }

    pub(crate) fn stats(&self) -> Stats {
        self.state().stats.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.counters.state().under_way -= 1;
    }
}
