use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{NoLabel, Verdict};

/// So many texts in a row without any answer, each tried as often as allowed: the endpoint is down.
const OUTAGE: u32 = 5;

/// Why no further call is begun, once there is a reason.
#[derive(Default)]
pub(crate) struct Stop(Mutex<State>);

#[derive(Default)]
struct State {
    reason: Option<NoLabel>,
    unanswered: u32,
}

impl Stop {
    /// The first reason counts.
    pub(crate) fn because(&self, why: NoLabel) {
        self.state().reason.get_or_insert(why);
    }

    pub(crate) fn reason(&self) -> Option<NoLabel> {
        self.state().reason.clone()
    }

    /// What one text's end says about the others.
    pub(crate) fn learn(&self, result: &Result<Verdict, NoLabel>) {
        let mut state = self.state();
        match result {
            Err(why) if why.concerns_everything() => {
                state.reason.get_or_insert(why.clone());
            }
            Err(why @ (NoLabel::Timeout(_) | NoLabel::Unavailable(_))) => {
                state.unanswered += 1;
                if state.unanswered >= OUTAGE {
                    state.reason.get_or_insert(why.clone());
                }
            }
            // Never sent, so nothing was learnt.
            Err(NoLabel::Empty | NoLabel::TooLong) => {}
            Ok(_) | Err(_) => state.unanswered = 0,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
