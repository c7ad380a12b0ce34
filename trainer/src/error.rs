use std::io;
use std::path::{Path, PathBuf};

use modloop_bundle::BundleError;
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
    /// A line of labeled data is not of the documented form.
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
        "the {what} became {value} at step {step}: lower --learning-rate or --clip; the last checkpoint is kept"
    )]
    NonFinite {
        /// `loss` or `gradient`.
        what: &'static str,
        /// Optimiser step, counted from 1.
        step: usize,
        /// NaN or infinite.
        value: f64,
    },
    /// A checkpoint to go on from was made by a run with other settings or data.
    #[error(
        "{} belongs to a run that differs in {}: repeat it as it was, or start over with --fresh, or choose another --out",
        dir.display(), differences.join(", ")
    )]
    AnotherRun {
        /// The checkpoint.
        dir: PathBuf,
        /// Names of what differs.
        differences: Vec<String>,
    },
    /// A batch does not fit into memory.
    #[error(
        "out of memory: lower --batch-size or --max-tokens, or train on a larger machine (libtorch says: {0})"
    )]
    OutOfMemory(String),
    /// libtorch refused an operation.
    #[error("libtorch refused: {0}")]
    Torch(String),
    /// The bundle that training starts from.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// What libtorch says when memory runs out, on a processor and on CUDA.
const OUT_OF_MEMORY: [&str; 4] =
    ["out of memory", "can't allocate memory", "not enough memory", "std::bad_alloc"];

impl From<TchError> for TrainError {
    fn from(error: TchError) -> Self {
        let text = error.to_string();
        // What follows the first line is a backtrace through libtorch.
        let said = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing").trim().to_owned();
        let lower = text.to_lowercase();
        match OUT_OF_MEMORY.iter().any(|words| lower.contains(words)) {
            true => Self::OutOfMemory(said),
            false => Self::Torch(said),
        }
    }
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

    /// For `map_err` on tensors that are written: a full disk should be called that.
    pub fn write(path: &Path) -> impl FnOnce(TchError) -> Self {
        let path = path.to_owned();
        move |error| match error {
            TchError::SafeTensorError { err, .. } => {
                Self::Io { action: "write", path, source: io::Error::other(err.to_string()) }
            }
            other => other.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn memory_that_runs_out_is_called_that_with_what_to_lower() {
        // More than any address space holds.
        let error = Tensor::f_empty([1i64 << 52], (Kind::Float, Device::Cpu)).expect_err("cannot fit");
        let error = TrainError::from(error).to_string();
        assert!(error.starts_with("out of memory: lower --batch-size"), "{error}");
        assert!(!error.contains('\n'), "{error}");
        let cuda =
            TchError::Torch("CUDA out of memory. Tried to allocate 20.00 MiB.\nException raised".to_owned());
        assert!(matches!(TrainError::from(cuda), TrainError::OutOfMemory(said) if said.ends_with("MiB.")));
        let other = TchError::Torch("shapes differ\nframe #0".to_owned());
        assert_eq!(
            TrainError::from(other).to_string(),
            "libtorch refused: Internal torch error: shapes differ"
        );
    }
}
