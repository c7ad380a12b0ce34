//! Writes a BERT classifier as an ONNX graph, and reads what a graph takes, gives and holds.

mod bert;
mod constants;
mod graph;
mod proto;
mod signature;

pub use bert::{Precision, export, export_calibrated, export_observed};
pub use constants::GraphConstants;
pub(crate) use signature::Signature;
