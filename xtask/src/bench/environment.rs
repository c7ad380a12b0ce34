//! What the measurement needs: a Python environment, weights for it, and programs to start.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use modloop_bundle::{Bundle, Checkpoint, Precision, export, files, restore};

use super::contenders::Contender;
use super::worker::Start;
use crate::layout::Layout;
use crate::setup::Tools;

/// Which instructions the processor shows to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) enum Instructions {
    /// All that it has.
    #[serde(rename = "all")]
    All,
    /// None newer than AVX2.
    #[serde(rename = "avx2")]
    Avx2,
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all instructions of this processor",
            Self::Avx2 => "AVX2 alone, VNNI and AVX-512 hidden",
        })
    }
}

/// Where everything lies.
pub(crate) struct Environment {
    python: PathBuf,
    library: PathBuf,
    bundle: PathBuf,
    work: PathBuf,
}

impl Environment {
    /// Makes the Python environment, and from the bundle a checkpoint and an fp32 graph for it.
    pub(crate) async fn prepare(layout: &Layout, bundle: &Path) -> Result<Self> {
        let tools = Tools::new(layout)?;
        let (python, library) = (tools.bench_python().await?, tools.onnxruntime().await?);
        let work = layout.run("bench");
        fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
        let environment = Self { python, library, bundle: bundle.canonicalize()?, work };
        environment.restore_weights()?;
        environment.write_programs()?;
        Ok(environment)
    }

    fn restore_weights(&self) -> Result<()> {
        let bundle = Bundle::open(&self.bundle)?;
        restore(&bundle, &self.work.join(files::WEIGHTS))?;
        for name in [files::CONFIG, files::TOKENIZER] {
            fs::copy(bundle.path(name), self.work.join(name)).with_context(|| format!("copy {name}"))?;
        }
        let fp32 = export(&Checkpoint::open(&self.work)?, Precision::Fp32)?;
        fs::write(self.fp32(), fp32)?;
        let stale = self.work.join("fp32.int8.onnx");
        if stale.exists() {
            fs::remove_file(stale)?
        }
        Ok(())
    }

    fn write_programs(&self) -> Result<()> {
        fs::write(self.work.join("service.py"), include_str!("service.py"))?;
        fs::write(self.work.join("onnx_runtime.py"), include_str!("onnx_runtime.py"))?;
        fs::write(self.work.join("avx2.c"), include_str!("avx2.c"))?;
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o"])
            .arg(self.mask())
            .arg(self.work.join("avx2.c"));
        if !cc.status().context("run cc")?.success() {
            bail!("avx2.c does not compile");
        }
        Ok(())
    }

    fn fp32(&self) -> PathBuf {
        self.work.join("fp32.onnx")
    }

    fn mask(&self) -> PathBuf {
        self.work.join("avx2.so")
    }

    /// What can be measured here: a processor without AVX-512 has AVX2 alone, and one whose CPUID cannot be
    /// made to fault cannot hide anything.
    pub(crate) fn instructions(&self) -> Vec<Instructions> {
        let can_hide = fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("cpuid_fault"));
        let newer = is_x86_feature_detected!("avx512f");
        if newer && can_hide { vec![Instructions::All, Instructions::Avx2] } else { vec![Instructions::All] }
    }

    /// Why AVX2 alone cannot be measured here, if it cannot and there is more.
    pub(crate) fn not_measured(&self) -> Option<&'static str> {
        let newer = is_x86_feature_detected!("avx512f");
        (newer && !self.instructions().contains(&Instructions::Avx2)).then_some(
            "the CPUID instruction of this processor cannot be made to fault, so AVX-512 cannot be hidden",
        )
    }

    fn command(&self, program: &Path, instructions: Instructions) -> Command {
        let mut command = Command::new(program);
        command.env("OMP_NUM_THREADS", "1").env("TOKENIZERS_PARALLELISM", "false").env("HF_HUB_OFFLINE", "1");
        command.current_dir(&self.work).stderr(Stdio::inherit());
        if instructions == Instructions::Avx2 {
            command.env("LD_PRELOAD", self.mask());
        }
        command
    }

    fn worker(&self, instructions: Instructions, mode: &str) -> Result<Command> {
        let mut command = self.command(&std::env::current_exe()?, instructions);
        command.args(["bench-worker", mode, "--bundle"]).arg(&self.bundle);
        command.arg("--library").arg(&self.library);
        Ok(command)
    }

    /// Starts everything that is compared, ours first.
    pub(crate) fn contenders(&self, instructions: Instructions) -> Result<Vec<Contender>> {
        let tokenizer = self.bundle.join(files::TOKENIZER);
        let python = |program: &str, arguments: &[&Path]| {
            let mut command = self.command(&self.python, instructions);
            command.arg(program).args(arguments);
            command
        };
        let served = self.bundle.join(files::MODEL);
        let fp32 = self.fp32();
        let usual = python("onnx_runtime.py", &[&fp32, &tokenizer, Path::new("quantise")]);
        Ok(vec![
            Contender::piped("modloop", self.worker(instructions, "serve")?)?,
            Contender::service("FastAPI, PyTorch fp32", |port| {
                python("service.py", &[&self.work, Path::new(&port.to_string())])
            })?,
            Contender::piped(
                "Python ORT int8, our graph",
                python("onnx_runtime.py", &[&served, &tokenizer]),
            )?,
            Contender::piped("Python ORT int8, quantize_dynamic", usual)?,
        ])
    }

    /// One fresh process, from its start to its first score.
    pub(crate) fn start_once(&self, instructions: Instructions) -> Result<Start> {
        let mut command = self.worker(instructions, "start")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let output = command.arg("--spawned").arg(now.to_string()).output()?;
        serde_json::from_slice(&output.stdout).context("the started process gave no figures")
    }

    /// Multiplications and additions of bytes that one core does in a second, at most.
    pub(crate) fn integer_peak(&self, instructions: Instructions) -> Result<f64> {
        let output = self.worker(instructions, "peak")?.output()?;
        serde_json::from_slice(&output.stdout).context("the measurement of the peak gave no figure")
    }
}
