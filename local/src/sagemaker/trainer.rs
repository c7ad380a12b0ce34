//! The training program of this repository, in the image's place.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use crate::package::{cargo, target_folder};
use crate::processes::Launch;

/// The program that stands for the training image.
#[derive(Debug, Clone)]
pub struct Trainer {
    /// `modloop-train`.
    pub program: PathBuf,
    /// What the image would set: where libraries lie, how many threads.
    pub environment: Vec<(OsString, OsString)>,
}

/// What the program is made from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The repository.
    pub repository: PathBuf,
    /// Folder with libtorch's `lib` and `include`.
    pub libtorch: PathBuf,
    /// The ONNX Runtime library, for measuring what will be served.
    pub onnxruntime: PathBuf,
    /// File that the compiler's output is added to.
    pub log: PathBuf,
}

impl Trainer {
    /// Compiles the program.
    pub async fn compile(sources: &Sources) -> Result<Self> {
        let Sources { repository, libtorch, onnxruntime, log } = sources;
        let mut command = cargo();
        command.args(["build", "--locked", "--package", "modloop-trainer", "--color", "never"]);
        command.current_dir(repository).env("LIBTORCH", libtorch);
        let launch = Launch {
            name: "compiling the trainer".into(),
            command,
            log: log.clone(),
            stop_signal: Signal::SIGINT,
            grace: Duration::from_secs(5),
        };
        launch.succeed(40).await?;
        Ok(Self {
            program: target_folder(repository).join("debug/modloop-train"),
            environment: environment(libtorch, onnxruntime),
        })
    }
}

fn environment(libtorch: &Path, onnxruntime: &Path) -> Vec<(OsString, OsString)> {
    vec![
        ("LD_LIBRARY_PATH".into(), libtorch.join("lib").into()),
        ("ORT_DYLIB_PATH".into(), onnxruntime.into()),
        // Threads that spin while they wait for each other take time from each other where cores are few.
        ("OMP_WAIT_POLICY".into(), "PASSIVE".into()),
    ]
}
