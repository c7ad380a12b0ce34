//! Lambda functions: invoking them, and the processes that run them here.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid};
use serde_json::Value;

use crate::endpoint::Endpoint;

/// Longest that a function may take; AWS allows no more.
const INVOKE_LIMIT: Duration = Duration::from_secs(900);

/// What a function answered.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Its answer.
    pub payload: Value,
    /// Wall-clock time, cold start included.
    pub took: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The function ran and failed, or crashed, or took too long.
    #[error("{function} failed: {kind}: {message}")]
    Failed {
        /// The function.
        function: String,
        /// What it calls the error, such as `Runtime.ExitError`.
        kind: String,
        /// Its words.
        message: String,
    },
    /// It did not run: no such function, or too many runs at once.
    #[error("{function} could not be invoked ({status}): {message}")]
    Refused {
        /// The function.
        function: String,
        /// HTTP status; 429 means too many runs at once.
        status: u16,
        /// The cloud's words.
        message: String,
    },
    /// The cloud did not answer.
    #[error("{function} could not be invoked: {reason:#}")]
    Unreachable {
        /// The function.
        function: String,
        /// What went wrong on the way.
        reason: anyhow::Error,
    },
}

/// Runs the version of `function` that its alias `live` stands for, and waits for the answer.
pub async fn invoke(endpoint: &Endpoint, function: &str, event: &Value) -> Result<Invocation, InvokeError> {
    let begun = Instant::now();
    let unreachable =
        |error: reqwest::Error| InvokeError::Unreachable { function: function.into(), reason: error.into() };
    let path = format!("/2015-03-31/functions/{function}/invocations?Qualifier=live");
    let answer = endpoint.post(&path).timeout(INVOKE_LIMIT).json(event).send().await.map_err(unreachable)?;
    let status = answer.status();
    let failed = answer.headers().contains_key("x-amz-function-error");
    let body = answer.bytes().await.map_err(unreachable)?;
    let payload: Value = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
    let text = |name: &str| payload[name].as_str().map(str::to_owned);
    if !status.is_success() {
        let message = text("message").or_else(|| text("Message")).unwrap_or_else(|| payload.to_string());
        return Err(InvokeError::Refused { function: function.into(), status: status.as_u16(), message });
    }
    if failed {
        return Err(InvokeError::Failed {
            function: function.into(),
            kind: text("errorType").unwrap_or_else(|| "an error without a name".into()),
            message: text("errorMessage").unwrap_or_else(|| payload.to_string()),
        });
    }
    Ok(Invocation { payload, took: begun.elapsed() })
}

/// Deletes the versions that the alias `live` has left behind: the local cloud keeps each one's zip in memory.
pub(crate) async fn delete_old_versions(endpoint: &Endpoint, function: &str) -> anyhow::Result<()> {
    let path = format!("/2015-03-31/functions/{function}");
    let read = async |what: &str| -> anyhow::Result<Value> {
        let answer = endpoint.get(&format!("{path}/{what}")).send().await?.error_for_status();
        Ok(answer.with_context(|| format!("read the versions of {function}"))?.json().await?)
    };
    let alias = read("aliases/live").await?;
    let versions = read("versions").await?;
    let versions = versions["Versions"].as_array().into_iter().flatten();
    for version in versions.filter_map(|version| version["Version"].as_str()) {
        if version != "$LATEST" && alias["FunctionVersion"] != version {
            let answer = endpoint.delete(&format!("{path}?Qualifier={version}")).send().await?;
            answer.error_for_status().with_context(|| format!("delete version {version} of {function}"))?;
        }
    }
    Ok(())
}

/// Process ids of the environments that run `function` in the cloud with this process group.
pub fn processes_of(function: &str, process_group: i32) -> anyhow::Result<Vec<i32>> {
    let marker = format!("AWS_LAMBDA_FUNCTION_NAME={function}");
    let group = Pid::from_raw(process_group);
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("list processes")? {
        let name = entry.context("list processes")?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if getpgid(Some(Pid::from_raw(id))) != Ok(group) {
            continue;
        }
        // A process that ended meanwhile has no environment any more.
        let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == marker.as_bytes()) {
            found.push(id);
        }
    }
    Ok(found)
}

/// Kills the running environments of `function` without warning, as a lost host would. Says how many.
pub fn kill_processes_of(function: &str, process_group: i32) -> anyhow::Result<usize> {
    let mut killed = 0;
    for id in processes_of(function, process_group)? {
        match kill(Pid::from_raw(id), Signal::SIGKILL) {
            Ok(()) => killed += 1,
            Err(Errno::ESRCH) => {}
            Err(error) => return Err(error).with_context(|| format!("kill {function} (process {id})")),
        }
    }
    Ok(killed)
}
