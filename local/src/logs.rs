//! What functions wrote to their logs.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::endpoint::{Endpoint, Json};

/// One line of a function's log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogLine {
    /// When the cloud took it in, in milliseconds since 1970. A function's lines arrive when its run ends.
    pub timestamp: i64,
    /// The line.
    pub message: String,
}

/// The log of `function` since a moment in milliseconds since 1970, oldest first. A function that never ran has none.
pub async fn function_log(endpoint: &Endpoint, function: &str, since: i64) -> Result<Vec<LogLine>> {
    let mut lines: Vec<LogLine> = Vec::new();
    let mut next = Value::Null;
    loop {
        let mut input = json!({ "logGroupName": format!("/aws/lambda/{function}"), "startTime": since });
        if !next.is_null() {
            input["nextToken"] = next;
        }
        let mut page = endpoint.call("Logs_20140328.FilterLogEvents", Json::V1_1, input).await?;
        let events = page["events"].take();
        let events: Vec<LogLine> = serde_json::from_value(events).context("read a page of the log")?;
        lines.extend(events);
        next = page["nextToken"].take();
        if next.is_null() {
            lines.sort_by_key(|line| line.timestamp);
            return Ok(lines);
        }
    }
}
