//! Running jobs: one after the other goes through Starting, Downloading, Training, Uploading.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_s3::Client;
use chrono::Utc;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::processes::{Launch, Process};

use super::container::Root;
use super::job::{Job, Status};
use super::protocol::Refusal;
use super::storage;
use super::trainer::Trainer;
use super::{Image, Options};

/// SageMaker sends SIGTERM and allows two minutes.
const GRACE: Duration = Duration::from_secs(120);
/// SageMaker's own default for a longest run, in seconds.
pub(crate) const MAX_RUN: u64 = 86_400;

/// All jobs there ever were.
#[derive(Debug)]
pub(crate) struct Jobs {
    options: Options,
    s3: Client,
    known: Mutex<BTreeMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    job: Job,
    stop: Arc<Notify>,
    task: Option<JoinHandle<()>>,
}

/// How a job's program ended.
enum Ending {
    Completed,
    Failed(String),
    Stopped,
}

impl Jobs {
    /// Reads the jobs of earlier starts.
    pub(crate) fn open(options: Options) -> Result<Self> {
        let mut known = BTreeMap::new();
        for entry in fs::read_dir(&options.folder)? {
            let folder = entry?.path();
            if folder.join("job.json").is_file() {
                let job = Job::load(&folder)?;
                known.insert(job.name().to_owned(), Entry { job, stop: Arc::default(), task: None });
            }
        }
        let s3 = storage::client(&options.s3_endpoint);
        Ok(Self { options, s3, known: Mutex::new(known) })
    }

    /// Goes on with what was cut off.
    pub(crate) fn resume(self: &Arc<Self>) {
        let mut known = self.lock();
        for entry in known.values_mut().filter(|entry| !entry.job.is_over()) {
            entry.task = Some(tokio::spawn(Arc::clone(self).run(entry.job.name().to_owned())));
        }
    }

    /// Ends what runs; its jobs stay InProgress on disk.
    pub(crate) fn abandon(&self) {
        for entry in self.lock().values_mut() {
            if let Some(task) = entry.task.take() {
                task.abort();
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn create(self: &Arc<Self>, request: Value) -> Result<Value, Refusal> {
        let job = Job::new(request);
        let (name, arn) = (job.name().to_owned(), job.arn());
        let mut known = self.lock();
        if known.contains_key(&name) {
            let message = "Training job names must be unique within an AWS account and region, and a training job with \
                           this name already exists";
            return Err(Refusal { code: "ResourceInUse", message: format!("{message} ({arn})") });
        }
        job.save(&self.options.folder.join(&name))
            .map_err(|e| Refusal { code: "InternalFailure", message: format!("{e:#}") })?;
        self.tell(&job);
        let task = tokio::spawn(Arc::clone(self).run(name.clone()));
        known.insert(name, Entry { job, stop: Arc::default(), task: Some(task) });
        Ok(json!({"TrainingJobArn": arn}))
    }

    pub(crate) fn describe(&self, name: &str) -> Result<Value, Refusal> {
        self.lock().get(name).map(|entry| entry.job.description()).ok_or_else(not_found)
    }

    pub(crate) fn stop(&self, name: &str) -> Result<Value, Refusal> {
        let mut known = self.lock();
        let entry = known.get_mut(name).ok_or_else(not_found)?;
        if entry.job.is_over() {
            return Err(Refusal::validation(
                "The request was rejected because the training job is in status that cannot be stopped",
            ));
        }
        entry.job.status = Status::Stopping;
        entry.stop.notify_one();
        Ok(json!({}))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Entry>> {
        // What a panicking holder left is still a list of jobs.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>, name: String) {
        let ending = match self.work(&name).await {
            Ok(ending) => ending,
            Err(error) => Ending::Failed(format!("InternalServerError: {error:#}")),
        };
        self.change(&name, |job| {
            job.ended = Some(Utc::now());
            (job.status, job.failure) = match ending {
                Ending::Completed => (Status::Completed, None),
                Ending::Failed(reason) => (Status::Failed, Some(reason)),
                Ending::Stopped => (Status::Stopped, None),
            };
            job.secondary = format!("{:?}", job.status);
        });
    }

    async fn work(&self, name: &str) -> Result<Ending> {
        let (job, stop) = {
            let known = self.lock();
            let entry = known.get(name).context("the job is gone")?;
            (entry.job.clone(), Arc::clone(&entry.stop))
        };
        let trainer = match self.image().await {
            Ok(trainer) => trainer,
            Err(reason) => return Ok(Ending::Failed(format!("ClientError: the image: {reason}"))),
        };
        let folder = self.options.folder.join(name);
        let root = Root::new(&folder);
        self.change(name, |job| job.secondary = "Downloading".to_owned());
        if let Err(error) = root.prepare(&job.request, &self.s3).await {
            return Ok(Ending::Failed(format!("ClientError: Data download failed: {error:#}")));
        }
        self.change(name, |job| {
            job.secondary = "Training".to_owned();
            job.started.get_or_insert(Utc::now());
        });
        let limit = job.request["StoppingCondition"]["MaxRuntimeInSeconds"].as_u64().unwrap_or(MAX_RUN);
        let process = launch(&trainer, &root, &folder).start()?;
        let ending = watch(process, &stop, Duration::from_secs(limit)).await?;
        if let Ending::Failed(reason) = ending {
            let said = root.failure().unwrap_or(reason);
            return Ok(Ending::Failed(format!("AlgorithmError: {said}")));
        }
        self.change(name, |job| job.secondary = "Uploading".to_owned());
        let packed = tokio::task::spawn_blocking(move || root.pack()).await??;
        storage::upload(&self.s3, &packed, &job.model_uri()).await?;
        Ok(ending)
    }

    /// Waits for the image; an error is the reason why there will be none.
    async fn image(&self) -> Result<Trainer, String> {
        let mut image = self.options.image.clone();
        let settled = image.wait_for(|image| !matches!(image, Image::Pulling)).await;
        match settled.as_deref() {
            Ok(Image::Ready(trainer)) => Ok(trainer.clone()),
            Ok(Image::Missing(reason)) => Err(reason.clone()),
            Ok(Image::Pulling) | Err(_) => Err("nobody prepares it any more".to_owned()),
        }
    }

    /// Changes a job, writes it down, and tells whoever listens.
    fn change(&self, name: &str, change: impl FnOnce(&mut Job)) {
        let mut known = self.lock();
        let Some(entry) = known.get_mut(name) else { return };
        change(&mut entry.job);
        entry.job.changed = Utc::now();
        if let Err(error) = entry.job.save(&self.options.folder.join(name)) {
            tracing::error!(
                job = name,
                error = format!("{error:#}"),
                "a training job cannot be written down"
            );
        }
        self.tell(&entry.job);
    }

    fn tell(&self, job: &Job) {
        // Nobody listens any more while everything is being stopped.
        let _ = self.options.events.send(job.event());
    }
}

fn launch(trainer: &Trainer, root: &Root, folder: &Path) -> Launch {
    let mut command = Command::new(&trainer.program);
    command.args(["sagemaker", "train"]).current_dir(root.path()).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("MODLOOP_ML_ROOT", root.path());
    command.envs(trainer.environment.iter().map(|(name, value)| (name, value)));
    Launch {
        name: "the trainer".into(),
        command,
        log: folder.join("training.log"),
        stop_signal: Signal::SIGTERM,
        grace: GRACE,
    }
}

/// Waits for the program's end; asks it to end when it is told to stop or takes too long.
async fn watch(mut process: Process, stop: &Notify, limit: Duration) -> Result<Ending> {
    let status = tokio::select! {
        status = process.wait() => Some(status?),
        () = stop.notified() => None,
        () = tokio::time::sleep(limit) => None,
    };
    match status {
        Some(status) if status.success() => Ok(Ending::Completed),
        Some(status) => Ok(Ending::Failed(format!("{status}: {}", process.last_words(3)))),
        None => {
            // In its own thread: it may take its time to save.
            tokio::task::spawn_blocking(move || process.stop()).await?;
            Ok(Ending::Stopped)
        }
    }
}

fn not_found() -> Refusal {
    Refusal::validation("Requested resource not found.")
}
