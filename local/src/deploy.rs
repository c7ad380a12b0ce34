//! Building the functions and deploying the real template with the real `sam`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use sha2::{Digest, Sha256};

use crate::claim::Claim;
use crate::cloud::CREDENTIAL;
use crate::endpoint::{Endpoint, REGION};
use crate::fingerprint::Fingerprint;
use crate::functions::delete_old_versions;
pub use crate::package::Function;
use crate::package::{Packaging, Profile};
use crate::processes::Launch;

/// Name of the stack; the functions and queues are called after it.
pub const STACK: &str = "modloop";

/// How to call `sam`.
#[derive(Debug, Clone)]
pub struct Sam {
    /// The `sam` program.
    pub program: PathBuf,
    /// The repository, which holds samconfig.toml and infra/.
    pub repository: PathBuf,
    /// Folder for sam's own notes.
    pub folder: PathBuf,
    /// ONNX Runtime library that travels with inference and retrain.
    pub onnxruntime: PathBuf,
    /// Model bundle that travels with inference and retrain; the one in models/champion when there is none.
    pub bundle: Option<PathBuf>,
    /// File that sam's output is added to.
    pub log: PathBuf,
}

impl Sam {
    /// Compiles the functions and lays out their zips.
    pub async fn build(&self) -> Result<()> {
        let packaging = Packaging {
            repository: self.repository.clone(),
            profile: Profile::Dev,
            onnxruntime: self.onnxruntime.clone(),
            bundle: self.bundle.clone().unwrap_or_else(|| self.repository.join("models/champion")),
            log: self.log.clone(),
        };
        let _claim = self.claim().await?;
        packaging.run().await
    }

    /// Runs of one checkout lay out their zips in the same place: one after the other.
    async fn claim(&self) -> Result<Claim> {
        Claim::wait(&self.repository.join("target")).await
    }

    /// Deploys what was built, unless just that is deployed already. Parameters that are not named keep the
    /// template's defaults.
    pub async fn deploy(&self, endpoint: &Endpoint, parameters: &[(&str, String)]) -> Result<()> {
        let _claim = self.claim().await?;
        self.note_parameters(parameters)?;
        let inputs = ["infra/template.yaml", "samconfig.toml", "target/functions"];
        let inputs = inputs.map(|path| self.repository.join(path));
        let fingerprint = Fingerprint::of(&inputs, parameters)?;
        if fingerprint.is_noted(endpoint).await {
            return Ok(());
        }
        self.run(endpoint, parameters).await?;
        for function in Function::ALL {
            delete_old_versions(endpoint, function.name()).await?;
        }
        fingerprint.note(endpoint).await
    }

    /// Puts a hash of the parameters beside each `bootstrap`. SAM publishes a version only when the zip or
    /// the template's own text changes; a new value of a parameter alone would never reach the alias.
    fn note_parameters(&self, parameters: &[(&str, String)]) -> Result<()> {
        let mut hash = Sha256::new();
        for (name, value) in parameters {
            hash.update(format!("{name}={value}\n"));
        }
        let hash = hex::encode(hash.finalize());
        for function in Function::ALL {
            let file =
                self.repository.join("target/functions").join(function.name()).join("parameters.sha256");
            std::fs::write(&file, &hash).with_context(|| format!("write {}", file.display()))?;
        }
        Ok(())
    }

    async fn run(&self, endpoint: &Endpoint, parameters: &[(&str, String)]) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.repository).args(["deploy", "--config-env", "local"]);
        keep_to_ourselves(&mut command, &self.folder);
        command.env("AWS_ENDPOINT_URL", endpoint.url());
        command
            .arg("--parameter-overrides")
            .args(parameters.iter().map(|(name, value)| overriding(name, value)));
        let launch = Launch {
            name: "sam deploy".into(),
            command,
            log: self.log.clone(),
            stop_signal: Signal::SIGINT,
            grace: Duration::from_secs(5),
        };
        launch.succeed(25).await
    }
}

/// Keeps the person's own AWS settings out: nothing here may ever reach a real account.
fn keep_to_ourselves(command: &mut Command, folder: &Path) {
    for variable in std::env::vars_os().map(|(name, _)| name).filter(is_aws_setting) {
        command.env_remove(variable);
    }
    command
        .env("AWS_ACCESS_KEY_ID", CREDENTIAL)
        .env("AWS_SECRET_ACCESS_KEY", CREDENTIAL)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("NO_PROXY", "127.0.0.1")
        .env("SAM_CLI_TELEMETRY", "0")
        .env("__SAM_CLI_APP_DIR", folder.join("sam"));
}

fn is_aws_setting(name: &OsString) -> bool {
    name.to_string_lossy().starts_with("AWS_")
}

/// A value with spaces or quotes, in the form that `sam` reads.
fn overriding(name: &str, value: &str) -> String {
    let value = value.replace('\\', r"\\").replace('"', r#"\""#);
    format!(r#"ParameterKey={name},ParameterValue="{value}""#)
}
