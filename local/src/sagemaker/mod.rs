//! A stand-in for SageMaker's training jobs on a loopback port, for machines without an account.
//!
//! It speaks `CreateTrainingJob`, `DescribeTrainingJob` and `StopTrainingJob` as SageMaker does (JSON 1.1), checks what
//! SageMaker checks, keeps the container contract (hyperparameters as strings, channels from S3, a bundle out of
//! `model/`, the reason out of `failure`), runs the real trainer as a process, and tells every change of state to
//! whoever listens, in the body of the event that EventBridge would deliver. Jobs outlive it: one that was
//! cut off starts again from its checkpoints, as after a spot interruption.

mod container;
mod job;
mod protocol;
mod storage;
mod trainer;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::ports::stable_port;

pub use trainer::{Sources, Trainer};

/// What to run, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder for the jobs: what they were asked, their inputs, checkpoints and logs.
    pub folder: PathBuf,
    /// What stands for the container's image. Jobs wait until it is there, as for one that is pulled.
    pub image: watch::Receiver<Image>,
    /// Address of the cloud whose S3 holds inputs and outputs.
    pub s3_endpoint: String,
    /// Where to send each change of state: the body of an EventBridge event.
    pub events: mpsc::UnboundedSender<Value>,
}

/// What stands for the training image.
#[derive(Debug, Clone)]
pub enum Image {
    /// It is on its way.
    Pulling,
    /// It can be run.
    Ready(Trainer),
    /// It cannot be had, for this reason: every job fails with it.
    Missing(String),
}

/// A running stand-in. Dropping it stops its jobs' processes; the jobs go on at the next start.
#[derive(Debug)]
pub struct StandIn {
    url: String,
    jobs: Arc<work::Jobs>,
    server: JoinHandle<()>,
}

impl StandIn {
    /// Starts listening, and resumes the jobs that were cut off.
    pub async fn start(options: Options) -> Result<Self> {
        let port = port(&options.folder)?;
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .with_context(|| format!("listen on port {port} for training jobs"))?;
        let jobs = Arc::new(work::Jobs::open(options)?);
        jobs.resume();
        let router = protocol::router(Arc::clone(&jobs));
        let server = tokio::spawn(async move {
            // Ends with the task; there is nobody to tell about a failed accept.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url: url(port), jobs, server })
    }

    /// The address that one with this folder will have, for programs that must know it before.
    pub fn address(folder: &Path) -> Result<String> {
        port(folder).map(url)
    }

    /// Its address, for `AWS_ENDPOINT_URL_SAGEMAKER`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many jobs were ever created.
    pub fn jobs(&self) -> usize {
        self.jobs.count()
    }
}

fn port(folder: &Path) -> Result<u16> {
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    stable_port(&folder.join("port"))
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
        self.jobs.abandon();
    }
}
