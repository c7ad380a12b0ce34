//! Finishes and measures model bundles.
//!
//! [`assemble`] turns a fine-tuned checkpoint into a bundle: it exports the served graph, scores the
//! validation set exactly as it will be served, calibrates, measures, takes the drift baseline and
//! compares with fp32. [`metrics`] and [`platt`] are pure.

mod assemble;
mod calibrate;
mod decided;
mod dev;
mod error;
pub mod metrics;
mod parity;
pub mod platt;
mod progress;
mod report;
mod scorer;

pub use assemble::{AssembleOptions, assemble};
pub use calibrate::{CalibrationWeights, MOST_WEIGHT};
pub use dev::{DevLine, DevSet};
pub use error::EvaluationError;
pub use parity::Parity;
pub use report::{LabelMetrics, Metrics, Report};
