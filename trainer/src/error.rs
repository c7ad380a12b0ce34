use std::io;
use std::path::{Path, PathBuf};

use tch::TchError;

/// Why training cannot start or go on. Every case names the file, tensor or option that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, such as "read".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The reason given by the system.
        source: io::Error,
    },
    /// A line of labelled data is not of the documented form.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The data file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of the base model cannot be read as what it should be.
    #[error("{}: {problem}", path.display())]
    BaseModel {
        /// The file.
        path: PathBuf,
        /// What is wrong and what is expected.
        problem: String,
    },
    /// The weights lack a tensor that config.json promises.
    #[error("{} has no tensor {name:?} (looked for it with and without the prefix \"bert.\")", path.display())]
    MissingTensor {
        /// The weights file.
        path: PathBuf,
        /// Name as in Hugging Face's BertModel.
        name: String,
    },
    /// A tensor does not have the shape that config.json promises.
    #[error("{}: tensor {name:?} has shape {found:?}, config.json asks for {expected:?}", path.display())]
    TensorShape {
        /// The weights file.
        path: PathBuf,
        /// Name as in Hugging Face's BertModel.
        name: String,
        /// Shape in the file.
        found: Vec<i64>,
        /// Shape by config.json.
        expected: Vec<i64>,
    },
    /// The data, after the chosen mix, cannot teach what was asked for.
    #[error("{0}")]
    Mix(String),
    /// Training diverged. The last checkpoint is left as it was.
    #[error(
        "the loss became {loss} at step {step}: lower --learning-rate or --clip; the last checkpoint is kept"
    )]
    NonFiniteLoss {
        /// Optimiser step, counted from 1.
        step: usize,
        /// NaN or infinite.
        loss: f64,
    },
    /// libtorch refused an operation.
    #[error("libtorch refused")]
    Torch(#[from] TchError),
}

impl TrainError {
    /// For `map_err` on file operations.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// For `map_err` on anything else that a base model's file can be wrong about.
    pub fn base<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |problem| Self::BaseModel { path, problem: problem.to_string() }
    }
}
