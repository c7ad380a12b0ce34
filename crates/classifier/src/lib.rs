//! Texts to calibrated scores, with ONNX Runtime.
//!
//! A [`Classifier`] is loaded from a checked bundle once and scores any number of texts, in unpadded
//! windows on as many threads as it was given. What a text scores never depends on which other
//! texts are scored with it.

#[cfg(target_arch = "x86_64")]
mod bert;
mod classifier;
mod error;
mod logits;
mod observer;
mod runtime;
mod tokens;
mod windows;

#[cfg(target_arch = "x86_64")]
pub use bert::integer_peak;
pub use classifier::{Classifier, TextScores, entropy};
pub use error::{LoadError, ScoreError};
pub use logits::{LogitModel, TextLogits};
pub use observer::Observer;
pub use runtime::ClassifierOptions;
pub use windows::{Windows, windows};
