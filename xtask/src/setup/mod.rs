//! Prepares pinned tools under the ignored folder, and says plainly what this machine lacks.
//!
//! Everything comes from the person's own Python package index, with versions and hashes committed in
//! `requirements/`. Each tool is made beside its place and renamed into it, so that a run may be
//! interrupted at any moment and repeated.

mod base_model;
mod bench;
mod installation;
mod libtorch;
mod lint;
mod python;
mod wheels;

use std::path::PathBuf;

use anyhow::Result;

pub(crate) use self::lint::lint_templates;
use self::python::Python;
use crate::layout::Layout;

/// What a command needs beside the local cloud's tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// libtorch, for the trainer: half a gigabyte.
    pub libtorch: bool,
    /// The base model that training starts from: 90 MB.
    pub base_model: bool,
    /// cargo-lambda and zig, for what is deployed to AWS.
    pub release: bool,
    /// Python, PyTorch and FastAPI, to be measured against: 1.2 GB.
    pub bench: bool,
}

/// Where the prepared tools are.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    /// The local cloud.
    pub ministack: PathBuf,
    /// AWS's deployment tool.
    pub sam: PathBuf,
    /// The linter of templates.
    pub cfn_lint: PathBuf,
    /// Folder with Postgres' `bin`, `lib` and `share`.
    pub postgres: PathBuf,
    /// The tracking server and model registry.
    pub mlflow: PathBuf,
    /// The ONNX Runtime library, a file.
    pub onnxruntime: PathBuf,
    /// Folder for `LIBTORCH`, when it was asked for.
    pub libtorch: Option<PathBuf>,
    /// Folder of the base model, when it was asked for.
    pub base_model: Option<PathBuf>,
    /// Folder with `cargo-lambda`, when it was asked for.
    pub release: Option<PathBuf>,
    /// Folder with the Python of the services to measure against, when it was asked for.
    pub bench: Option<PathBuf>,
}

/// Prepares what is missing; takes a moment when all is there.
pub(crate) async fn ensure(layout: &Layout, needs: Needs) -> Result<Tools> {
    python::check_compiler()?;
    let python = Python::find()?;
    let cloud = python.environment(layout, "cloud", "the local cloud").await?;
    let sam = python.environment(layout, "sam", "AWS SAM").await?;
    let mlflow = python.environment(layout, "mlflow", "MLflow").await?;
    let any_python = cloud.join("python");
    let postgres = wheels::postgres(layout, &any_python).await?;
    let onnxruntime = wheels::onnxruntime(layout, &any_python).await?;
    let libtorch = match needs.libtorch {
        true => Some(libtorch::prepare_libtorch(layout, &any_python).await?),
        false => None,
    };
    let base_model = match needs.base_model {
        true => Some(base_model::prepare_base_model(layout, &any_python).await?),
        false => None,
    };
    let release = match needs.release {
        true => Some(python.environment(layout, "release", "cargo-lambda and zig").await?),
        false => None,
    };
    let bench = match needs.bench {
        true => Some(bench::prepare_bench(layout, &python).await?),
        false => None,
    };
    Ok(Tools {
        ministack: cloud.join("ministack"),
        sam: sam.join("sam"),
        cfn_lint: sam.join("cfn-lint"),
        mlflow: mlflow.join("mlflow"),
        postgres,
        onnxruntime,
        libtorch,
        base_model,
        release,
        bench,
    })
}
