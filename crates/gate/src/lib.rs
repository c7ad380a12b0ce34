//! Challenger against champion: the decision, with every number it was made by.
//!
//! [`judge`] decides whether a challenger may be tried at all; [`judge_trial`] whether its trial goes on,
//! is passed, or ends. Both are pure and give a report that is stored, logged and shown to people.

mod bootstrap;
mod check;
mod contest;
mod gate;
mod macro_f1;
mod report;
mod trial;

pub use bootstrap::Interval;
pub use check::{Bound, Check};
pub use contest::{Contest, Judged, Outcome, Pair, Rate};
pub use gate::{Policy, judge};
pub use macro_f1::macro_f1;
pub use report::{Decision, GateReport, Shift};
pub use trial::{Evidence, TrialPolicy, TrialReport, TrialVerdict, Work, judge_trial};
