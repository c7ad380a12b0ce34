//! The processor that trains: a CUDA device where there is one.

use std::error::Error;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

/// The part of libtorch that knows CUDA. Nothing in this program names a symbol of it, so the linker leaves it out,
/// and libtorch says that there is no CUDA until somebody loads it.
const CUDA_LIBRARY: &str = "libtorch_cuda.so";

/// A CUDA device when libtorch has its CUDA part and finds one, otherwise the processor.
///
/// Call it once, before any other use of libtorch. `CUDA_VISIBLE_DEVICES=` (empty) keeps to the processor.
pub fn choose() -> Device {
    // SAFETY: the library is libtorch's own, of the same build as the one this program is linked with; loading it
    // registers its kernels, as it would when linked.
    match unsafe { Library::open(Some(CUDA_LIBRARY), RTLD_LAZY | RTLD_GLOBAL) } {
        // Registered kernels must stay for as long as the program runs.
        Ok(library) => std::mem::forget(library),
        Err(error) => {
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            // A slim libtorch has no such file: that is how it is meant to be. Anything else is worth a word.
            if !reason.contains("No such file") {
                eprintln!("training on the processor: {reason}");
            }
        }
    }
    Device::cuda_if_available()
}

/// How exactly matrix products are computed. Weights, sums and the optimiser are always 32 bits wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// bf16 on CUDA, f32 on a processor.
    #[default]
    Auto,
    /// 32 bits.
    F32,
    /// 16 bits, with the range of 32: several times as fast on GPUs that know it.
    Bf16,
}

impl Precision {
    /// The kind of number that products on `device` are computed with.
    pub fn kind(self, device: Device) -> Kind {
        match (self, device) {
            (Self::Bf16, _) | (Self::Auto, Device::Cuda(_)) => Kind::BFloat16,
            (Self::F32 | Self::Auto, _) => Kind::Float,
        }
    }
}
