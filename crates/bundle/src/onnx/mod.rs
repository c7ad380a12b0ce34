//! Writes a BERT classifier as an ONNX graph, and reads what a graph takes and gives.

mod bert;
mod graph;
pub(crate) mod proto;
mod signature;

pub use bert::{Precision, export};
pub(crate) use signature::Signature;
