//! Drift: how far predictions have moved from a reference, and whether that matters.
//!
//! From the bottom: a [`Sample`] is numbers with counts; [`Comparison`], [`Binned`] and [`Ks`] are the
//! statistics on two of them; [`Cbpe`] and [`Outcomes`] say how good a model is; [`findings`] applies all of
//! them to one window of predictions; [`judge`] turns the findings into a verdict and a sentence.

mod binned;
mod comparison;
mod finding;
mod gauge;
mod kolmogorov;
mod ks;
mod performance;
mod reference;
mod sample;
mod verdict;
mod wasserstein;
mod window;

pub use binned::{Binned, largest_share_change};
pub use comparison::Comparison;
pub use finding::{Change, Finding, Measure, Subject, Threshold, ThresholdSource};
pub use ks::{Ks, ks_statistic};
pub use performance::{Cbpe, Estimate, Outcomes};
pub use reference::Reference;
pub use sample::{Sample, SampleError};
pub use verdict::{History, Judgement, Policy, Sizes, judge};
pub use wasserstein::{wasserstein, wasserstein_normed};
pub use window::{ALPHA, ENOUGH_CHUNKS, ENOUGH_OUTCOMES, findings};
