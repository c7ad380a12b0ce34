//! libtorch for the processor alone, cut out of PyTorch's wheel: the CUDA parts of the wheel would need
//! gigabytes more, and training on a GPU happens in a container that has them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Tools;
use super::wheels::keep_only;

const LIBRARIES: [&str; 5] = [
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libc10.so",
    "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/libcudart.so.13",
    "nvidia/cu13/lib/libcupti.so.13",
];

/// The wheel's libtorch.so asks for the CUDA libraries; this one stands in its place for the linker.
const STUB: &str = "void modloop_libtorch_stub(void) {}\n";

/// What the trainer is compiled with, and what it runs with.
pub(crate) struct TrainerTools {
    /// Folder for `LIBTORCH`: half a gigabyte.
    pub libtorch: PathBuf,
    /// The ONNX Runtime library, for measuring what will be served.
    pub onnxruntime: PathBuf,
}

impl TrainerTools {
    /// Tells the trainer, and cargo that compiles it, where they are.
    pub(crate) fn environment(&self) -> [(&'static str, &Path); 2] {
        [("LIBTORCH", &self.libtorch), ("ORT_DYLIB_PATH", &self.onnxruntime)]
    }
}

impl Tools<'_> {
    /// What the trainer needs.
    pub(crate) async fn trainer(&self) -> Result<TrainerTools> {
        Ok(TrainerTools { libtorch: self.libtorch().await?, onnxruntime: self.onnxruntime().await? })
    }

    async fn libtorch(&self) -> Result<PathBuf> {
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
        self.wheels("libtorch", "libtorch", &inputs, cut_out).await
    }
}

/// Fails unless there is a C++ compiler, which the trainer's binding to libtorch is built with.
fn check_cpp_compiler() -> Result<()> {
    if !Command::new("c++").arg("--version").output().is_ok_and(|output| output.status.success()) {
        bail!("a C++ compiler is missing (c++); install one (Debian: apt install g++)");
    }
    Ok(())
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
