use std::io::Write;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

/// One line of CloudWatch metrics in the embedded metric format (EMF), which CloudWatch Logs turns into
/// metrics without a call of ours.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
#[derive(Debug, Clone)]
#[must_use = "nothing is written until `emit`"]
pub struct Metrics {
    dimensions: Vec<(String, String)>,
    values: Vec<(&'static str, f64, &'static str)>,
}

/// The CloudWatch namespace of all metrics.
const NAMESPACE: &str = "Modloop";

/// Which deployment this process belongs to.
pub(crate) static STACK: OnceLock<String> = OnceLock::new();

impl Metrics {
    /// Metrics of one function: dimensions `Stack`, so that two stacks in one account do not add up, and `Function`.
    /// Outside a stack there is no such dimension.
    pub fn new(function: &str) -> Self {
        Self::of(STACK.get().map(String::as_str), function)
    }

    fn of(stack: Option<&str>, function: &str) -> Self {
        let stack = stack.map(|stack| ("Stack".into(), stack.into()));
        let function = ("Function".into(), function.into());
        Self { dimensions: stack.into_iter().chain([function]).collect(), values: Vec::new() }
    }

    /// Adds a dimension; few values each, since every combination is billed as a metric of its own.
    pub fn dimension(mut self, name: &str, value: impl ToString) -> Self {
        self.dimensions.push((name.into(), value.to_string()));
        self
    }

    /// Adds a number of things.
    pub fn count(self, name: &'static str, value: impl TryInto<u64>) -> Self {
        let value = value.try_into().unwrap_or(u64::MAX);
        // A metric is a double; counts beyond 2^53 do not occur.
        #[allow(clippy::cast_precision_loss)]
        self.value(name, value as f64, "Count")
    }

    /// Adds a duration in milliseconds.
    pub fn millis(self, name: &'static str, value: f64) -> Self {
        self.value(name, value, "Milliseconds")
    }

    /// Adds a duration in seconds.
    pub fn seconds(self, name: &'static str, value: f64) -> Self {
        self.value(name, value, "Seconds")
    }

    /// Adds a number without a unit, such as a statistic. Non-finite numbers are left out: EMF has no way to say them.
    pub fn number(self, name: &'static str, value: f64) -> Self {
        self.value(name, value, "None")
    }

    /// Writes the line to standard output. A closed output loses metrics, never work.
    pub fn emit(self) {
        let mut line = self.to_json(chrono::Utc::now().timestamp_millis()).to_string();
        line.push('\n');
        // One write, so that lines of several threads do not mix.
        let _lost = std::io::stdout().lock().write_all(line.as_bytes());
    }

    fn value(mut self, name: &'static str, value: f64, unit: &'static str) -> Self {
        if value.is_finite() {
            self.values.push((name, value, unit));
        }
        self
    }

    fn to_json(&self, timestamp_ms: i64) -> Value {
        let names: Vec<&str> = self.dimensions.iter().map(|(name, _)| name.as_str()).collect();
        let units: Vec<Value> =
            self.values.iter().map(|(name, _, unit)| json!({"Name": name, "Unit": unit})).collect();
        let mut line = Map::new();
        line.insert(
            "_aws".into(),
            json!({
                "Timestamp": timestamp_ms,
                "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [names], "Metrics": units}],
            }),
        );
        line.extend(self.dimensions.iter().map(|(name, value)| (name.clone(), json!(value))));
        line.extend(self.values.iter().map(|(name, value, _)| ((*name).to_owned(), json!(value))));
        Value::Object(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_follows_the_embedded_metric_format() {
        let line = Metrics::of(Some("modloop"), "fetch")
            .dimension("Community", "rust")
            .count("Fetched", 3usize)
            .millis("MillisecondsPerItem", 1.5)
            .number("Psi", f64::NAN)
            .to_json(1_000);
        assert_eq!(
            line,
            json!({
                "_aws": {"Timestamp": 1000, "CloudWatchMetrics": [{
                    "Namespace": "Modloop",
                    "Dimensions": [["Stack", "Function", "Community"]],
                    "Metrics": [
                        {"Name": "Fetched", "Unit": "Count"},
                        {"Name": "MillisecondsPerItem", "Unit": "Milliseconds"},
                    ],
                }]},
                "Stack": "modloop", "Function": "fetch", "Community": "rust",
                "Fetched": 3.0, "MillisecondsPerItem": 1.5,
            })
        );
    }
}
