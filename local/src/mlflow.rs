//! MLflow's tracking server for this machine alone: experiments, artifacts and the model registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::claim::Claim;
use crate::endpoint::Endpoint;
use crate::ports::stable_port;
use crate::processes::{Launch, Process};

/// The very first start compiles every Python module and creates the tables, beside compilers at work.
const START_LIMIT: Duration = Duration::from_secs(300);

/// Where a server comes from and where it keeps its things.
#[derive(Debug, Clone)]
pub struct MlflowFiles {
    /// The `mlflow` program.
    pub program: PathBuf,
    /// Folder for its database and artifacts. Kept from one start to the next.
    pub folder: PathBuf,
    /// File that its messages are added to.
    pub log: PathBuf,
}

/// A tracking server that was started, and may take some seconds until it answers. Dropping it stops it with
/// everything it started; the data stays.
#[derive(Debug)]
pub struct Mlflow {
    health: Health,
    log: PathBuf,
    process: Process,
    _claim: Claim,
}

/// Asks a server whether it answers, also from another task.
#[derive(Debug, Clone)]
pub struct Health(Endpoint);

impl Mlflow {
    /// Starts the server and does not wait for it. Its address is known at once and stays the same.
    pub fn launch(files: &MlflowFiles) -> Result<Self> {
        let claim = Claim::take(&files.folder)?;
        let port = stable_port(&files.folder.join("port"))?;
        let endpoint = Endpoint::new(format!("http://127.0.0.1:{port}"))?;
        let launch = Launch {
            name: "MLflow".into(),
            command: command(files, port)?,
            log: files.log.clone(),
            // It passes the signal on to its workers and ends after them.
            stop_signal: Signal::SIGTERM,
            grace: Duration::from_secs(10),
        };
        let log = files.log.clone();
        Ok(Self { health: Health(endpoint), log, process: launch.start()?, _claim: claim })
    }

    /// Its address, for `MLFLOW_TRACKING_URI` and for a browser.
    pub fn url(&self) -> &str {
        self.health.0.url()
    }

    /// For asking whether it answers while this value is elsewhere.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Waits until it answers. Fails when it ends first, with the end of its log.
    pub async fn ready(&mut self) -> Result<()> {
        let health = &self.health;
        self.process.wait_until(|| health.is_good(), START_LIMIT).await
    }

    /// How the server ended, or nothing while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.ended()
    }

    /// File with its messages.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Id of its process group.
    pub fn process_group(&self) -> i32 {
        self.process.id()
    }
}

impl Health {
    /// Waits until the server answers. It may have ended meanwhile: see [`Mlflow::ended`].
    pub async fn wait(&self) -> Result<()> {
        let begun = Instant::now();
        while !self.is_good().await {
            if begun.elapsed() > START_LIMIT {
                bail!("MLflow gave no answer within {} s", START_LIMIT.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    async fn is_good(&self) -> bool {
        let answer = self.0.get("/health").timeout(Duration::from_secs(2)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

/// Its own defaults let nobody in but pages and programs that name a loopback address.
fn command(files: &MlflowFiles, port: u16) -> Result<Command> {
    let artifacts = files.folder.join("artifacts");
    fs::create_dir_all(&artifacts).with_context(|| format!("create {}", artifacts.display()))?;
    // Starting takes ten seconds of processor time, which the functions must not wait for.
    let mut command = Command::new("nice");
    command.args(["-n", "10"]).arg(&files.program).arg("server");
    command.current_dir("/").env_clear().envs([
        ("PATH", "/usr/bin:/bin"),
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("DO_NOT_TRACK", "true"),
        // Jobs evaluate LLMs, for which nothing is installed.
        ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false"),
    ]);
    command.env("HOME", &files.folder);
    command.args(["--host", "127.0.0.1", "--workers", "1", "--port"]).arg(port.to_string());
    // Its other way to serve needs pandas and the like, 700 MB more, for an LLM gateway.
    command.args(["--gunicorn-opts", "--threads 8 --graceful-timeout 3 --no-control-socket"]);
    command.arg("--backend-store-uri").arg(sqlite(&files.folder)?);
    command.arg("--artifacts-destination").arg(artifacts);
    Ok(command)
}

/// SQLAlchemy reads the path as it stands, after a fourth slash.
fn sqlite(folder: &Path) -> Result<String> {
    let file = folder.join("mlflow.db");
    let path = file.to_str().with_context(|| format!("{} is no plain text", folder.display()))?;
    Ok(format!("sqlite:///{path}"))
}
