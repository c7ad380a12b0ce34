//! Texts to calibrated scores, by kernels of our own or by ONNX Runtime.
//!
//! A [`Classifier`] is loaded from a checked bundle once and scores any number of texts, in unpadded
//! windows on as many threads as it was given. What a text scores never depends on which other
//! texts are scored with it.

mod backend;
mod classifier;
mod error;
mod logits;
mod observer;
mod runtime;
mod tokens;
mod windows;

pub use backend::{Backend, BackendChoice, BackendError};
pub use classifier::{Classifier, TextScores, entropy};
pub use error::{LoadError, ScoreError};
pub use logits::{LogitModel, TextLogits};
#[cfg(target_arch = "x86_64")]
pub use modloop_kernels::{Instructions, integer_peak};
pub use observer::Observer;
pub use runtime::ClassifierOptions;
pub use windows::{Windows, windows};
