//! The model bundle: what a trained model consists of, how it is checked, and how it is made.
//!
//! A bundle is a directory (or a `tar.gz` of one) with the served graph `model.onnx`, `tokenizer.json`,
//! `config.json` and the manifest `bundle.json`. [`Bundle::open`] is the only way to get one, and it
//! refuses a bundle whose hashes, sizes, labels or shapes do not fit together.

mod activations;
mod archive;
mod baseline;
mod bundle;
mod checkpoint;
mod error;
mod half_precision;
mod manifest;
mod onnx;
mod quantise;
mod restore;
#[cfg(feature = "testing")]
pub mod testing;
mod write;

pub use activations::Activations;
pub use archive::{pack, unpack};
pub use baseline::{Baseline, Chunk, DecisionCounts, GRID, LENGTH_BOUNDS, cell, length_bucket};
pub use bundle::Bundle;
pub use checkpoint::{BertConfig, Checkpoint};
pub use error::BundleError;
pub use manifest::{
    BaseModel, Calibration, CalibrationError, DataSource, FileEntry, Manifest, Windowing, WindowingError,
};
pub use onnx::{GraphConstants, Precision, export, export_calibrated, export_observed};
pub use restore::{restore, restore_dithered};
pub use write::{ManifestParts, write};

/// Names of the files in a bundle.
pub mod files {
    /// The manifest.
    pub const MANIFEST: &str = "bundle.json";
    /// The served graph.
    pub const MODEL: &str = "model.onnx";
    /// The tokenizer, as `tokenizers` writes it.
    pub const TOKENIZER: &str = "tokenizer.json";
    /// The architecture, as Hugging Face writes it.
    pub const CONFIG: &str = "config.json";
    /// What fine-tuning starts from, in fp16; a bundle may leave it out.
    pub const WEIGHTS: &str = "model.safetensors";
    /// Everything that was measured, for programs; bundles of older releases have none.
    pub const EVALUATION: &str = "evaluation.json";
    /// The same as a page of plots.
    pub const EVALUATION_PAGE: &str = "evaluation.html";
}
