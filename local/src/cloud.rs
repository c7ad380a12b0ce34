//! The local cloud: ministack, which runs functions as processes and speaks the AWS protocols.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::claim::Claim;
use crate::endpoint::{Endpoint, REGION};
use crate::ports::stable_port;
use crate::processes::{Launch, Process};

/// Any value will do: the local cloud checks no signatures. Twelve digits would name an account.
pub(crate) const CREDENTIAL: &str = "local";

const START_LIMIT: Duration = Duration::from_secs(60);

/// Where the cloud comes from and where it keeps its things.
#[derive(Debug, Clone)]
pub struct CloudFiles {
    /// The `ministack` program.
    pub program: PathBuf,
    /// Folder for what is deployed, stored objects and unpacked functions. Kept from one start to the next.
    pub folder: PathBuf,
    /// File that its messages are added to, the functions' output among them.
    pub log: PathBuf,
    /// Address of the training jobs' stand-in, which the cloud lacks; functions then find it there.
    pub sagemaker: Option<String>,
}

/// A running local cloud. Dropping it stops it and every function it runs.
#[derive(Debug)]
pub struct Cloud {
    endpoint: Endpoint,
    process: Process,
    _claim: Claim,
}

impl Cloud {
    /// Starts the cloud with what was deployed and stored before its last stop.
    pub async fn start(files: &CloudFiles) -> Result<Self> {
        let claim = Claim::take(&files.folder)?;
        fs::create_dir_all(files.folder.join("tmp"))
            .with_context(|| format!("create {}", files.folder.display()))?;
        let port = stable_port(&files.folder.join("port"))?;
        let endpoint = Endpoint::new(format!("http://127.0.0.1:{port}"))?;
        let launch = Launch {
            name: "the local cloud".into(),
            command: command(files, port, &endpoint),
            log: files.log.clone(),
            // It writes its state down and ends.
            stop_signal: Signal::SIGTERM,
            grace: Duration::from_secs(20),
        };
        let mut process = launch.start()?;
        process.wait_until(|| is_healthy(&endpoint), START_LIMIT).await?;
        Ok(Self { endpoint, process, _claim: claim })
    }

    /// Throws away everything that was deployed and stored. Only while the cloud is stopped.
    pub fn forget(folder: &Path) -> Result<()> {
        for part in ["state", "s3", "tmp"] {
            let part = folder.join(part);
            if part.exists() {
                fs::remove_dir_all(&part).with_context(|| format!("delete {}", part.display()))?;
            }
        }
        Ok(())
    }

    /// Its address, for the SDKs' `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Process group of the cloud and the functions it runs.
    pub fn process_group(&self) -> i32 {
        self.process.id()
    }

    /// How the cloud ended, or nothing while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.ended()
    }

    /// Stops the cloud and its functions, after it wrote its state down.
    pub fn stop(mut self) {
        self.process.stop();
    }
}

/// Functions inherit the cloud's environment, so it gets only what it needs.
fn command(files: &CloudFiles, port: u16, endpoint: &Endpoint) -> Command {
    let mut command = Command::new(&files.program);
    let folder = &files.folder;
    command.current_dir("/").env_clear().envs([
        ("PATH", "/usr/bin:/bin"),
        ("BIND_HOST", "127.0.0.1"),
        // The host in queue addresses; without it they say localhost, which may mean IPv6.
        ("MINISTACK_HOST", "127.0.0.1"),
        ("AWS_ENDPOINT_URL", endpoint.url()),
        ("AWS_ACCESS_KEY_ID", CREDENTIAL),
        ("AWS_SECRET_ACCESS_KEY", CREDENTIAL),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("MINISTACK_REGION", REGION),
        ("PERSIST_STATE", "1"),
        ("S3_PERSIST", "1"),
        // Services that would listen on ports of their own.
        ("IOT_MTLS_ENABLED", "0"),
        ("SFTP_ENABLED", "0"),
    ]);
    command
        .env("GATEWAY_PORT", port.to_string())
        .env("HOME", folder)
        .env("TMPDIR", folder.join("tmp"))
        .env("STATE_DIR", folder.join("state"))
        .env("S3_DATA_DIR", folder.join("s3"));
    command.envs(files.sagemaker.as_ref().map(|url| ("AWS_ENDPOINT_URL_SAGEMAKER", url)));
    command
}

async fn is_healthy(endpoint: &Endpoint) -> bool {
    // Both ministack and LocalStack answer this one.
    let answer = endpoint.get("/_localstack/health").timeout(Duration::from_secs(2)).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}
