use std::path::PathBuf;

use modloop_bundle::BundleError;

/// Why a classifier cannot be loaded. Each names the file and the way out.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The ONNX Runtime library is not where it was looked for.
    #[error("there is no ONNX Runtime library at {path}; ORT_DYLIB_PATH says where libonnxruntime.so lies")]
    LibraryMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The kernels were asked for and cannot compute the graph.
    #[error(
        "{path} cannot be computed by the kernels: they need a processor with AVX2 and an int8 graph of this project; set MODLOOP_BACKEND to auto or onnxruntime"
    )]
    NotForKernels {
        /// The graph.
        path: PathBuf,
    },
    /// The library is there but cannot be used.
    #[error("{path} cannot be used as ONNX Runtime (1.24 or newer is needed): {reason}")]
    Library {
        /// The library.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// The bundle is not whole.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// ONNX Runtime does not take the graph.
    #[error("{path} cannot be loaded by ONNX Runtime: {reason}")]
    Graph {
        /// The graph.
        path: PathBuf,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The tokenizer cannot be used.
    #[error("{path} is not the tokenizer of a BERT: {reason}")]
    Tokenizer {
        /// The tokenizer's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl LoadError {
    /// Whether the same call may succeed later without anybody changing a file.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Bundle(error) if error.is_retryable())
    }
}

/// Why one text has no scores. Other texts of the same call are not touched by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// The tokenizer gave up on the text.
    #[error("the text cannot be split into tokens: {0}")]
    Tokenizer(String),
    /// ONNX Runtime failed while computing.
    #[error("ONNX Runtime failed on the text: {0}")]
    Runtime(String),
    /// The tokenizer gives ids, or windows, that the model has no embedding for.
    #[error("the model has no embedding for a token of the text; its tokenizer is another model's")]
    OutOfRange,
    /// The model's output is no number.
    #[error("the model gives a score that is no number; go back to the model before it")]
    NotANumber,
}

impl ScoreError {
    /// Whether the same text may be scored by trying again: memory may have been short.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Runtime(_))
    }
}
