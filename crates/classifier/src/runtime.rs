use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::TensorRef;

use crate::backend::{Backend, BackendChoice};
use crate::{LoadError, ScoreError};
#[cfg(target_arch = "x86_64")]
use modloop_kernels::{Bert, Instructions, Scratch};

/// How a classifier computes.
#[derive(Debug, Clone)]
pub struct ClassifierOptions {
    /// The ONNX Runtime library, `libonnxruntime.so`, for what this crate does not compute itself. One
    /// process uses one: the first that was loaded.
    pub runtime_library: PathBuf,
    /// Windows computed at the same time, each on one core.
    pub threads: NonZeroUsize,
    /// What computes the graph.
    pub backend: BackendChoice,
}

impl ClassifierOptions {
    /// One thread for each core this process may use, on the backend that suits the graph best.
    pub fn on_all_cores(runtime_library: PathBuf) -> Self {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { runtime_library, threads, backend: BackendChoice::Auto }
    }

    /// The same on another backend.
    #[must_use]
    pub fn with_backend(self, backend: BackendChoice) -> Self {
        Self { backend, ..self }
    }
}

/// ONNX Runtime allows one environment a process, and it must outlive every session.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Loads the library when this is the process' first call.
fn environment(library: &Path) -> Result<Environment, LoadError> {
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

/// A graph, ready to compute windows on the calling thread.
pub(crate) enum WindowModel {
    /// By kernels of our own.
    #[cfg(target_arch = "x86_64")]
    Own(Arc<Bert>, Box<Scratch>),
    /// By ONNX Runtime.
    Session(Session),
}

/// A graph, ready to compute on several threads.
pub(crate) struct Loaded {
    /// One a thread.
    pub(crate) models: Vec<WindowModel>,
    /// What computes it.
    pub(crate) backend: Backend,
}

/// Loads a graph for `threads` threads, on the backend that is asked for. Only ONNX Runtime's looks for its
/// library.
pub(crate) fn load(graph: &Path, options: &ClassifierOptions) -> Result<Loaded, LoadError> {
    #[cfg(target_arch = "x86_64")]
    for instructions in kernels(options.backend) {
        if let Some(bert) = Bert::load(graph, instructions).map(Arc::new) {
            let own = |_| WindowModel::Own(bert.clone(), Box::default());
            let models = (0..options.threads.get()).map(own).collect();
            return Ok(Loaded { models, backend: Backend::Kernels(instructions) });
        }
    }
    if matches!(options.backend, BackendChoice::Kernels | BackendChoice::Instructions(_)) {
        return Err(LoadError::NotForKernels { path: graph.to_owned() });
    }
    let environment = environment(&options.runtime_library)?;
    // Sessions optimise the graph while they load: side by side, this takes as long as one.
    let models: Result<Vec<_>, LoadError> = thread::scope(|scope| {
        let loading: Vec<_> =
            (0..options.threads.get()).map(|_| scope.spawn(|| session(&environment, graph))).collect();
        loading.into_iter().map(|thread| joined(thread).map(WindowModel::Session)).collect()
    });
    Ok(Loaded { models: models?, backend: Backend::OnnxRuntime })
}

/// The instruction sets to try.
#[cfg(target_arch = "x86_64")]
fn kernels(choice: BackendChoice) -> Vec<Instructions> {
    match choice {
        BackendChoice::Auto | BackendChoice::Kernels => Instructions::detect().into_iter().collect(),
        BackendChoice::Instructions(instructions) => vec![instructions],
        BackendChoice::OnnxRuntime => Vec::new(),
    }
}

impl WindowModel {
    /// The logits of each window of token ids, which do not depend on the other windows.
    pub(crate) fn logits(&mut self, windows: &[&[i64]]) -> Vec<Result<Vec<f32>, ScoreError>> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Own(bert, scratch) => {
                let logits = bert.logits(windows, scratch).into_iter();
                logits.map(|logits| finite(logits.ok_or(ScoreError::OutOfRange)?)).collect()
            }
            Self::Session(session) => {
                let one = |ids| run(session, ids).map_err(|e| ScoreError::Runtime(e.to_string()));
                windows.iter().copied().map(one).map(|logits| finite(logits?)).collect()
            }
        }
    }
}

fn finite(logits: Vec<f32>) -> Result<Vec<f32>, ScoreError> {
    if logits.iter().all(|logit| logit.is_finite()) { Ok(logits) } else { Err(ScoreError::NotANumber) }
}

/// A graph in ONNX Runtime, whatever it is.
pub(crate) fn open(graph: &Path, options: &ClassifierOptions) -> Result<Session, LoadError> {
    session(&environment(&options.runtime_library)?, graph)
}

fn session(environment: &Environment, graph: &Path) -> Result<Session, LoadError> {
    let refuse = |e: ort::Error| LoadError::Graph { path: graph.to_owned(), reason: e.to_string() };
    let mut builder = single_threaded(environment).map_err(refuse)?;
    builder.commit_from_file(graph).map_err(refuse)
}

fn run(session: &mut Session, ids: &[i64]) -> ort::Result<Vec<f32>> {
    let outputs = session.run(ort::inputs!["input_ids" => input(ids)?])?;
    let (_, logits) = outputs["logits"].try_extract_tensor::<f32>()?;
    Ok(logits.to_vec())
}

/// One window, as a graph takes it.
pub(crate) fn input(ids: &[i64]) -> ort::Result<TensorRef<'_, i64>> {
    TensorRef::from_array_view(([1, ids.len()], ids))
}

/// A panic on a worker is a panic here.
pub(crate) fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn single_threaded(environment: &Environment) -> ort::Result<SessionBuilder> {
    let builder = Session::builder(environment)?.with_intra_threads(1)?;
    // Windows differ in length: a pattern of memory would be laid out anew for each.
    Ok(builder.with_memory_pattern(false)?)
}
