//! libtorch for the processor alone, cut out of PyTorch's wheel: the CUDA parts of the wheel would need
//! gigabytes more, and training on a GPU happens in a container that has them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::python::check_cpp_compiler;
use super::wheels::{keep_only, prepare};
use crate::layout::Layout;

const LIBRARIES: [&str; 5] = [
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libc10.so",
    "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/libcudart.so.13",
    "nvidia/cu13/lib/libcupti.so.13",
];

/// The wheel's libtorch.so asks for the CUDA libraries; this one stands in its place for the linker.
const STUB: &str = "void modloop_libtorch_stub(void) {}\n";

/// Prepares the folder for `LIBTORCH`. `python` runs pip.
pub(super) async fn prepare_libtorch(layout: &Layout, python: &Path) -> Result<PathBuf> {
    check_cpp_compiler()?;
    let cut_out = async |part: &Path| {
        let lib = part.join("lib");
        fs::create_dir(&lib).with_context(|| format!("create {}", lib.display()))?;
        for library in LIBRARIES {
            take(&part.join(library), &lib)?;
        }
        take(&part.join("torch/include"), part)?;
        keep_only(part, &["lib", "include"])?;
        compile_stub(&lib)
    };
    let inputs = [LIBRARIES.as_slice(), &[STUB]].concat();
    prepare(layout, python, "libtorch", "libtorch", &inputs, cut_out).await
}

fn take(from: &Path, folder: &Path) -> Result<()> {
    let name = from.file_name().with_context(|| format!("{} has no name", from.display()))?;
    fs::rename(from, folder.join(name)).with_context(|| format!("take {}", from.display()))
}

fn compile_stub(lib: &Path) -> Result<()> {
    let source = lib.join("stub.c");
    fs::write(&source, STUB).with_context(|| format!("write {}", source.display()))?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-Wl,-soname,libtorch.so", "-o"]).arg(lib.join("libtorch.so")).arg(&source);
    let output = cc.output().context("run cc")?;
    if !output.status.success() {
        bail!("compiling libtorch.so failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    fs::remove_file(&source).with_context(|| format!("delete {}", source.display()))
}
