//! Fine-tunes a BERT checkpoint in Hugging Face layout with a multi-label head, on libtorch.
//!
//! The way through: [`data`] reads labelled lines, [`templates`] adds our own, [`mix`] decides which of them teach what
//! (asking [`words`] where a set is silent), [`augment`] changes some, [`tokens`] reads them ([`symbols`] as words),
//! [`batches`] turns them into tensors, [`bert`] is the model, [`train`] runs the optimiser,
//! [`metrics`] and [`dev`] measure, [`checkpoint`] writes what came out.

pub mod augment;
pub mod batches;
pub mod bert;
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod dev;
mod error;
pub mod metrics;
pub mod mix;
pub mod optimizer;
pub mod progress;
pub mod record;
pub mod symbols;
pub mod templates;
pub mod tokens;
pub mod train;
pub mod weights;
pub mod words;

pub use error::TrainError;
