//! The Python that `bench` measures against, with a PyTorch for the processor alone.

use std::path::PathBuf;

use anyhow::Result;

use super::python::Python;
use crate::layout::Layout;

/// Gives the environment's folder of programs.
pub(super) async fn prepare_bench(layout: &Layout, python: &Python) -> Result<PathBuf> {
    let cut = Some(include_str!("../bench/cpu_torch.py"));
    python.environment_and(layout, "bench", "the Python services to measure against", cut).await
}
