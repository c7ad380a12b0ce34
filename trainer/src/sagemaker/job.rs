//! What a job is asked to do, checked as a whole before anything is trained.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::{Map, Value};

use modloop_domain::ModelVersion;

use super::container::Container;
use crate::bundle::BundleOptions;
use crate::options::TrainOptions;
use crate::recipe::{arguments_of, fault};

/// Where the image has ONNX Runtime.
const RUNTIME_LIBRARY: &str = "/opt/modloop/lib/libonnxruntime.so";
/// The trained model, among the checkpoints.
const TRAINED: &str = "trained";
/// Options that say where things are: the contract says that.
const OF_THE_CONTRACT: [&str; 6] = ["base", "data", "dev", "out", "replay", "recipe"];

/// A job.
pub(super) struct Job {
    pub(super) train: TrainOptions,
    version: ModelVersion,
    runtime_library: PathBuf,
}

/// Reads hyperparameters with the same checks and defaults as the command line.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Arguments {
    #[command(flatten)]
    train: TrainOptions,
}

impl Job {
    pub(super) fn read(container: &Container) -> Result<Self> {
        container.check_resources()?;
        container.check_channels()?;
        let mut hyperparameters = container.hyperparameters()?;
        let version = text(&mut hyperparameters, "version")?.context("hyperparameter version is missing")?;
        let version = version.parse().context("hyperparameter version")?;
        let mut arguments = paths(container)?;
        if let Some(lines) = text(&mut hyperparameters, "template_lines")?.filter(|lines| lines != "0") {
            arguments.extend(["--templates".to_owned(), format!("--limit=templates={lines}")]);
        }
        for (name, value) in &hyperparameters {
            arguments.extend(of_hyperparameter(name, value)?);
        }
        let parsed = Arguments::try_parse_from(arguments);
        let train = parsed.map_err(|e| anyhow::anyhow!("hyperparameters: {}", fault(&e)))?.train;
        Ok(Self { train, version, runtime_library: runtime_library()? })
    }

    /// The bundle that the trained model becomes, in the folder `out`. It calibrates after its parent.
    pub(super) fn bundle(self, out: PathBuf) -> BundleOptions {
        BundleOptions {
            checkpoint: self.train.out,
            dev: self.train.dev,
            dev_limit: None,
            out,
            version: self.version,
            runtime_library: self.runtime_library,
            include_weights: true,
            calibration_prior: Some(self.train.base),
        }
    }
}

/// Where things are, by the contract.
fn paths(container: &Container) -> Result<Vec<String>> {
    let start = container.channel("model").or_else(|| container.channel("base"));
    let start = start.context("the job has neither a channel \"model\" nor a channel \"base\"")?;
    let mut paths = vec![
        ("--base", start),
        ("--data", container.needed_channel("train")?),
        ("--dev", container.needed_channel("dev")?),
        ("--out", container.checkpoints().join(TRAINED)),
    ];
    paths.extend(container.channel("replay").map(|replay| ("--replay", replay)));
    let argument = |(option, path): (&str, PathBuf)| {
        let path = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
        Ok(format!("{option}={path}"))
    };
    paths.into_iter().map(argument).collect()
}

/// SageMaker hands every value over as a text; one that is a JSON list or table is read as such.
fn of_hyperparameter(name: &str, value: &Value) -> Result<Vec<String>> {
    if name.starts_with("sagemaker_") {
        return Ok(Vec::new());
    }
    if OF_THE_CONTRACT.contains(&name) {
        bail!("hyperparameter {name}: where things are is said by the channels");
    }
    let text = value.as_str().unwrap_or_default();
    let nested = serde_json::from_str(text).ok();
    let nested = nested.filter(|v: &Value| v.is_array() || v.is_object() || v.is_boolean());
    arguments_of(name, &nested.unwrap_or_else(|| value.clone())).context("hyperparameters")
}

fn text(hyperparameters: &mut Map<String, Value>, name: &str) -> Result<Option<String>> {
    match hyperparameters.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => bail!("hyperparameter {name} is {other}; expected a text"),
    }
}

/// Looked for now, because it is needed only when training is over.
fn runtime_library() -> Result<PathBuf> {
    let library = std::env::var_os("ORT_DYLIB_PATH").map_or_else(|| RUNTIME_LIBRARY.into(), PathBuf::from);
    if !library.is_file() {
        bail!("{} is missing: ORT_DYLIB_PATH must name the ONNX Runtime library", library.display());
    }
    Ok(library)
}
