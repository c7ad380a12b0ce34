//! Fine-tunes a BERT checkpoint in Hugging Face layout with a multi-label head, on libtorch.
//!
//! The way through: [`data`] reads labeled lines, [`templates`] adds our own, [`mix`] decides which of them teach what
//! (asking [`words`] where a set is silent), [`augment`] changes some, [`tokens`] reads them ([`symbols`] as words),
//! [`epochs`] and [`batches`] order them, [`start`] and [`bert`] give the model, [`train`] runs the [`optimizer`] and goes
//! on where [`resume`] left off, [`metrics`] and [`dev`] measure, [`checkpoint`] writes what came out.

pub mod augment;
pub mod batches;
pub mod bert;
pub mod checkpoint;
pub mod class_weights;
pub mod config;
pub mod data;
pub mod dev;
pub mod device;
pub mod early_stopping;
pub mod epochs;
mod error;
pub mod measuring_hate_speech;
pub mod metrics;
pub mod mix;
pub mod optimizer;
pub mod progress;
pub mod record;
pub mod resume;
pub mod start;
pub mod symbols;
pub mod templates;
pub mod tokens;
pub mod train;
pub mod weights;
pub mod words;

pub use error::TrainError;
