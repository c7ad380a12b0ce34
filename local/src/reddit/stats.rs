//! What was asked of the stand-in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::faults::Fault;

/// Reddit counts over ten minutes.
const WINDOW: Duration = Duration::from_secs(600);

/// What was asked of the stand-in so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests, those for tokens included.
    pub requests: u64,
    /// The most requests within any minute.
    pub busiest_minute: usize,
    /// Faulty answers by kind.
    pub faults: BTreeMap<&'static str, u64>,
}

pub(crate) struct Counters {
    allowed: u64,
    state: Mutex<State>,
}

struct State {
    stats: Stats,
    last_minute: VecDeque<Instant>,
    window_start: Instant,
    used: u64,
}

/// What the client may still ask in this window.
pub(crate) struct Allowance {
    pub(crate) used: u64,
    pub(crate) remaining: f64,
    pub(crate) reset: Duration,
}

impl Counters {
    /// A client may send so many requests in ten minutes.
    pub(crate) fn new(allowed: u64) -> Self {
        let (window_start, last_minute) = (Instant::now(), VecDeque::new());
        Self {
            allowed,
            state: Mutex::new(State { stats: Stats::default(), last_minute, window_start, used: 0 }),
        }
    }

    /// Counts a request; returns how many came before it.
    pub(crate) fn request(&self) -> u64 {
        let (mut state, now) = (self.state(), Instant::now());
        if now.duration_since(state.window_start) >= WINDOW {
            (state.window_start, state.used) = (now, 0);
        }
        state.used += 1;
        while state
            .last_minute
            .front()
            .is_some_and(|sent| now.duration_since(*sent) >= Duration::from_secs(60))
        {
            state.last_minute.pop_front();
        }
        state.last_minute.push_back(now);
        state.stats.busiest_minute = state.stats.busiest_minute.max(state.last_minute.len());
        state.stats.requests += 1;
        state.stats.requests - 1
    }

    pub(crate) fn fault(&self, fault: Fault) {
        *self.state().stats.faults.entry(fault.as_str()).or_default() += 1;
    }

    pub(crate) fn allowance(&self) -> Allowance {
        let state = self.state();
        Allowance {
            used: state.used,
            remaining: self.allowed.saturating_sub(state.used) as f64,
            reset: WINDOW.saturating_sub(state.window_start.elapsed()),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.state().stats.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
