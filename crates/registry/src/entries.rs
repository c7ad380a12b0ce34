use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

/// Longest key that MLflow takes, in characters (`MAX_ENTITY_KEY_LENGTH`).
const MAX_KEY: usize = 250;
/// Longest value, in characters: what parameters and tags may have in every MLflow since 2.8.
const MAX_VALUE: usize = 5000;
/// MLflow takes 100 parameters or tags a call, and a body of 10^6 characters. 50 of the longest fit, every
/// character escaped.
const TEXTS_PER_CALL: usize = 50;
/// MLflow takes 1000 metrics a call.
const METRICS_PER_CALL: usize = 1000;

/// A name that MLflow takes for a parameter, a metric or a tag: letters, digits and `_ - . / ` with parts between
/// the slashes, at most 250 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The nearest name to `text`: what MLflow does not take becomes `_`, what is too long is cut.
    pub fn nearest(text: &str) -> Self {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-. ".contains(c);
        let parts = text.split('/').map(|part| {
            let part: String = part.chars().map(|c| if fits(c) { c } else { '_' }).collect();
            // MLflow takes keys for paths, and wants them plain.
            if part.is_empty() || part == "." || part == ".." { "_".repeat(part.len().max(1)) } else { part }
        });
        let mut key: String = parts.collect::<Vec<_>>().join("/");
        key.truncate(MAX_KEY);
        // The cut may have left an odd end.
        if let Some(start) = key.strip_suffix('/') {
            key = format!("{start}_");
        }
        for odd in ["/.", "/.."] {
            if key.ends_with(odd) {
                key.replace_range(key.len() - odd.len() + 1.., &"_".repeat(odd.len() - 1));
            }
        }
        Self(key)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is logged with a run, in forms that MLflow takes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entries {
    params: BTreeMap<Key, String>,
    metrics: BTreeMap<Key, f64>,
    tags: BTreeMap<Key, String>,
}

impl Entries {
    /// Adds a parameter. A run keeps the first value it was given for good.
    pub fn param(&mut self, key: &str, value: impl fmt::Display) {
        self.params.insert(Key::nearest(key), nearest_value(&value.to_string()));
    }

    /// Adds a metric; one that is no finite number is left out.
    pub fn metric(&mut self, key: &str, value: f64) {
        if value.is_finite() {
            self.metrics.insert(Key::nearest(key), value);
        }
    }

    /// Adds a tag.
    pub fn tag(&mut self, key: &str, value: impl fmt::Display) {
        self.tags.insert(Key::nearest(key), nearest_value(&value.to_string()));
    }

    /// Adds every number in `value`, each under its path: `{"a":{"b":1}}` becomes `a/b` = 1.
    pub fn metrics_in(&mut self, path: &str, value: &Value) {
        let below = |name: &str| match path {
            "" => name.replace('/', "_"),
            _ => format!("{path}/{}", name.replace('/', "_")),
        };
        match value {
            Value::Number(number) => self.metric(path, number.as_f64().unwrap_or(f64::NAN)),
            Value::Object(fields) => fields.iter().for_each(|(name, v)| self.metrics_in(&below(name), v)),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(i, v)| self.metrics_in(&below(&i.to_string()), v));
            }
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }

    /// Bodies of `runs/log-batch`, each within MLflow's limits. `at` is in milliseconds since 1970: a metric that
    /// is logged again with the same time and value stays one point.
    pub(crate) fn batches(&self, run_id: &str, at: i64) -> Vec<Value> {
        let texts = |entries: &BTreeMap<Key, String>| -> Vec<Value> {
            entries.iter().map(|(key, value)| json!({ "key": key.as_str(), "value": value })).collect()
        };
        let point = |(key, value): (&Key, &f64)| json!({ "key": key.as_str(), "value": value, "timestamp": at, "step": 0 });
        let metrics: Vec<Value> = self.metrics.iter().map(point).collect();
        let kinds = [
            ("params", texts(&self.params), TEXTS_PER_CALL),
            ("tags", texts(&self.tags), TEXTS_PER_CALL),
            ("metrics", metrics, METRICS_PER_CALL),
        ];
        let batch = |kind: &str, part: &[Value]| {
            let mut body = json!({ "run_id": run_id });
            body[kind] = part.into();
            body
        };
        kinds.iter().flat_map(|(kind, all, most)| all.chunks(*most).map(|part| batch(kind, part))).collect()
    }

    /// The tags as MLflow reads them when something is created.
    pub(crate) fn tags(&self) -> Vec<Value> {
        let tags = self.tags.iter();
        tags.map(|(key, value)| json!({ "key": key.as_str(), "value": value })).collect()
    }
}

/// Databases behind MLflow refuse NUL, and other control characters help nobody.
fn nearest_value(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).take(MAX_VALUE).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_found_under_their_paths() {
        let metrics =
            json!({"labels": {"hate": {"f1": 0.5, "recall": null}}, "note": "no", "by/source": [1, 2]});
        let mut entries = Entries::default();
        entries.metrics_in("", &metrics);
        let found: Vec<(&str, f64)> = entries.metrics.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        assert_eq!(found, [("by_source/0", 1.0), ("by_source/1", 2.0), ("labels/hate/f1", 0.5)]);
    }

    #[test]
    fn what_is_plain_stays_as_it_is() {
        for key in ["modloop.version", "labels/hate/f1", "learning_rate", "data source"] {
            assert_eq!(Key::nearest(key).as_str(), key);
        }
        assert_eq!(Key::nearest("../etc/./passwd\0").as_str(), "__/etc/_/passwd_");
        assert_eq!(Key::nearest("").as_str(), "_");
    }

    #[test]
    fn batches_keep_to_the_limits() {
        let mut entries = Entries::default();
        for number in 0..120 {
            entries.param(&format!("p{number}"), "\"".repeat(9000));
            entries.tag(&format!("t{number}"), "\u{1F600}".repeat(9000));
        }
        (0..1500).for_each(|number| entries.metric(&format!("m{number}"), f64::from(number)));
        let batches = entries.batches("run", 1);
        assert_eq!(batches.len(), 3 + 3 + 2);
        for batch in &batches {
            assert!(batch.to_string().chars().count() < 1_000_000);
        }
    }

    proptest! {
        /// `^[/\w.\- ]*$`, no empty part and no part of dots alone: what `mlflow.utils.validation` asks for.
        #[test]
        fn every_text_has_a_key_that_mlflow_takes(text in ".{0,300}|[./]{0,300}") {
            let key = Key::nearest(&text);
            prop_assert!((1..=MAX_KEY).contains(&key.as_str().len()));
            prop_assert!(key.as_str().split('/').all(|part| !["", ".", ".."].contains(&part)), "{key}");
            prop_assert_eq!(Key::nearest(key.as_str()), key);
        }
    }
}
