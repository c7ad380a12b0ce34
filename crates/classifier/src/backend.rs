use std::fmt;
use std::str::FromStr;

use modloop_environment::{EnvironmentError, parsed};
#[cfg(target_arch = "x86_64")]
use modloop_kernels::Instructions;

/// What computes a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Kernels of our own.
    #[cfg(target_arch = "x86_64")]
    Kernels(Instructions),
    /// ONNX Runtime.
    OnnxRuntime,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Kernels(instructions) => write!(f, "kernels ({instructions})"),
            Self::OnnxRuntime => f.write_str("onnxruntime"),
        }
    }
}

/// Which backend is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendChoice {
    /// The kernels where the processor and the graph suit them, else ONNX Runtime.
    #[default]
    Auto,
    /// The kernels, or an error.
    Kernels,
    /// The kernels with these instructions, or an error.
    #[cfg(target_arch = "x86_64")]
    Instructions(Instructions),
    /// ONNX Runtime.
    OnnxRuntime,
}

/// What the variable may say, for people.
const WORDS: &str = "auto, kernels or onnxruntime";

/// A word that is not a [`BackendChoice`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a backend: expected {WORDS}")]
pub struct BackendError(String);

impl BackendChoice {
    /// What `MODLOOP_BACKEND` says; `Auto` when it is not set.
    ///
    /// # Errors
    /// A word that is not a choice.
    pub fn from_environment() -> Result<Self, EnvironmentError> {
        parsed("MODLOOP_BACKEND", Some(Self::Auto), WORDS)
    }
}

impl FromStr for BackendChoice {
    type Err = BackendError;

    /// What `MODLOOP_BACKEND` may say.
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "auto" => Ok(Self::Auto),
            "kernels" => Ok(Self::Kernels),
            "onnxruntime" => Ok(Self::OnnxRuntime),
            _ => Err(BackendError(word.chars().take(40).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_variable_are_read_and_others_named() {
        assert_eq!("auto".parse(), Ok(BackendChoice::Auto));
        assert_eq!("kernels".parse(), Ok(BackendChoice::Kernels));
        assert_eq!("onnxruntime".parse(), Ok(BackendChoice::OnnxRuntime));
        let error = "gpu".parse::<BackendChoice>().expect_err("unknown").to_string();
        assert!(error.contains("auto, kernels or onnxruntime"), "{error}");
    }
}
