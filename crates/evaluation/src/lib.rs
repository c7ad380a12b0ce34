//! Finishes and measures model bundles.
//!
//! [`assemble`] turns a fine-tuned checkpoint into a bundle: it exports the served graph, scores the
//! validation set exactly as it will be served, calibrates, measures, takes the drift baseline and
//! compares with fp32. [`evaluate`] measures any bundle on any labeled set. Both give an [`Evaluation`],
//! which is written as JSON and as a page of plots. [`metrics`], [`curves`] and [`platt`] are pure.

mod assemble;
mod baseline;
mod calibrate;
pub mod curves;
mod dev;
mod error;
mod evaluation;
mod graphs;
mod identities;
mod measure;
pub mod metrics;
mod page;
mod parity;
pub mod platt;
mod plots;
mod progress;
mod report;
mod scored;
mod scorer;
mod suite;
mod target;

pub use assemble::{AssembleOptions, assemble};
pub use calibrate::{CalibrationWeights, MAX_WEIGHT};
pub use dev::{DevLine, DevSet};
pub use error::EvaluationError;
pub use evaluation::{Evaluation, LabelEvaluation, LabelMeasures, SourceMean};
pub use identities::{Identities, IdentityRate, IdentityResult, Spread, TermRate};
pub use measure::{MAX_DEPENDENCE, evaluate};
pub use parity::{LabelParity, MAX_FLIPS, MAX_LOSS, Parity};
pub use report::{LabelMetrics, Metrics, Report};
pub use scored::ScoredText;
pub use scorer::score_lines;
pub use suite::{CaseResult, FunctionResult, SuiteCase, SuiteResult, Tally, suite};
pub use target::Target;
