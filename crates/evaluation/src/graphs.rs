use std::fs;
use std::path::{Path, PathBuf};

use modloop_bundle::{
    Activations, BundleError, Checkpoint, Precision, Windowing, export, export_calibrated, export_observed,
};
use modloop_classifier::{ClassifierOptions, Observer};

use crate::EvaluationError;
use crate::dev::DevLine;
use crate::progress::Progress;

/// Texts that int8 is fitted to. Their labels are not looked at.
const OBSERVED: usize = 256;

/// The same model twice.
pub(crate) struct Graphs {
    pub(crate) int8: PathBuf,
    pub(crate) fp32: PathBuf,
}

impl Graphs {
    /// Writes both into the folder `work`. Int8 is fitted to the first of `lines`.
    pub(crate) fn export(
        checkpoint: &Checkpoint,
        tokenizer: &Path,
        lines: &[DevLine],
        runtime: &ClassifierOptions,
        work: &Path,
    ) -> Result<Self, EvaluationError> {
        let write = |name: &str, graph: Result<Vec<u8>, BundleError>| {
            let path = work.join(name);
            fs::write(&path, graph?).map_err(EvaluationError::io("write", &path))?;
            Ok::<_, EvaluationError>(path)
        };
        let observed = write("observed.onnx", export_observed(checkpoint))?;
        let activations =
            observe(Observer::load(&observed, tokenizer, Windowing::default(), runtime)?, lines)?;
        Ok(Self {
            int8: write("int8.onnx", export_calibrated(checkpoint, &activations))?,
            fp32: write("fp32.onnx", export(checkpoint, Precision::Fp32))?,
        })
    }
}

fn observe(mut observer: Observer, lines: &[DevLine]) -> Result<Activations, EvaluationError> {
    let lines = &lines[..lines.len().min(OBSERVED)];
    let mut progress = Progress::start("fitting int8", lines.len());
    let mut activations = Activations::default();
    for line in lines {
        let see = |name: &str, width: usize, rows: &[f32]| activations.observe(name, width, rows);
        observer
            .observe(&line.text, see)
            .map_err(|error| EvaluationError::Score { text_source: line.source.clone(), error })?;
        progress.advance(1);
    }
    Ok(activations)
}
