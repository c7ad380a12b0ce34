use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::TensorRef;

use crate::{LoadError, ScoreError};

/// How a classifier computes.
#[derive(Debug, Clone)]
pub struct ClassifierOptions {
    /// The ONNX Runtime library, `libonnxruntime.so`. One process uses one: the first that was loaded.
    pub runtime_library: PathBuf,
    /// Windows computed at the same time, each on one core with a session of its own.
    pub threads: NonZeroUsize,
}

impl ClassifierOptions {
    /// One thread for each core this process may use.
    pub fn on_all_cores(runtime_library: PathBuf) -> Self {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { runtime_library, threads }
    }
}

/// ONNX Runtime allows one environment a process, and it must outlive every session.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Loads the library when this is the process' first call.
pub(crate) fn environment(library: &Path) -> Result<Environment, LoadError> {
    let mut environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = environment.as_ref() {
        return Ok(loaded.clone());
    }
    if !library.is_file() {
        return Err(LoadError::LibraryMissing { path: library.to_owned() });
    }
    // A relative path would be tried beside the executable and then handed to the system's search.
    let library = std::path::absolute(library).unwrap_or_else(|_| library.to_owned());
    let refuse = |reason: String| LoadError::Library { path: library.clone(), reason };
    let builder = ort::init_from(&library).map_err(|e| refuse(e.to_string()))?;
    let started = builder.with_telemetry(false).build().map_err(|e| refuse(e.to_string()))?;
    Ok(environment.insert(started).clone())
}

/// A graph, ready to compute one window at a time on the calling thread.
pub(crate) struct WindowModel {
    session: Session,
}

impl WindowModel {
    pub(crate) fn load(environment: &Environment, graph: &Path) -> Result<Self, LoadError> {
        let refuse = |e: ort::Error| LoadError::Graph { path: graph.to_owned(), reason: e.to_string() };
        let mut builder = single_threaded(environment).map_err(refuse)?;
        let session = builder.commit_from_file(graph).map_err(refuse)?;
        Ok(Self { session })
    }

    /// The logits of one window of token ids.
    pub(crate) fn logits(&mut self, ids: &[i64]) -> Result<Vec<f32>, ScoreError> {
        let logits = self.run(ids).map_err(|e| ScoreError::Runtime(e.to_string()))?;
        if logits.iter().all(|logit| logit.is_finite()) { Ok(logits) } else { Err(ScoreError::NotANumber) }
    }

    fn run(&mut self, ids: &[i64]) -> ort::Result<Vec<f32>> {
        let input = TensorRef::from_array_view(([1, ids.len()], ids))?;
        let outputs = self.session.run(ort::inputs!["input_ids" => input])?;
        let (_, logits) = outputs["logits"].try_extract_tensor::<f32>()?;
        Ok(logits.to_vec())
    }
}

fn single_threaded(environment: &Environment) -> ort::Result<SessionBuilder> {
    let builder = Session::builder(environment)?.with_intra_threads(1)?;
    // Windows differ in length: a pattern of memory would be laid out anew for each.
    Ok(builder.with_memory_pattern(false)?)
}
