//! `modloop-train sagemaker`: one training job under the container contract of Amazon SageMaker
//! (<https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html>).
//!
//! Channels: `train`, `dev`, `replay` (may be absent), and `model` with a champion's bundle, or `base` with a base model.
//! The hyperparameters are the options of `modloop-train train`, and `version`, `template_lines`.

mod container;
mod job;

use anyhow::{Context, Result};

use modloop_trainer::resume::ResumeDir;
use modloop_trainer::train::Outcome;

use self::container::Container;
use self::job::Job;
use crate::{bundle, fine_tune};

/// Trains, makes the bundle, and leaves it in `model/`; or leaves the reason in `output/failure`.
pub(crate) fn run() -> Result<()> {
    let container = Container::from_environment();
    let done = train_and_bundle(&container);
    if let Err(error) = &done {
        container.fail(&format!("{error:#}"));
    }
    done
}

fn train_and_bundle(container: &Container) -> Result<()> {
    let job = Job::read(container)?;
    if fine_tune::train(&job.train)? == Outcome::Stopped {
        eprintln!("stopped; the same job goes on from its checkpoints when it is started again");
        return Ok(());
    }
    let making = tempfile::Builder::new().prefix(".bundle-").tempdir_in(container.root());
    let making = making.with_context(|| format!("cannot write in {}", container.root().display()))?;
    let out = job.train.out.clone();
    let report = bundle::assemble(job.bundle(making.path().join("bundle")))?;
    println!("{report}");
    container.deliver(report.bundle.dir())?;
    ResumeDir::beside(&out).clear()?;
    Ok(())
}
