use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Community, ItemId, ModelVersion};

/// What travels in the scoring queue: the item's id and never its text, so that text that is deleted at its
/// source does not live on in a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreMessage {
    /// The item to score.
    pub item: ItemId,
}

/// What travels in the retrain queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum RetrainMessage {
    /// The monitor found drift.
    Drift(DriftRequest),
    /// An operator asks for a run.
    Start {
        /// Who asks.
        by: String,
        /// Why.
        reason: String,
    },
    /// Take the current run a step further.
    Tick,
}

/// A request for a run because of a drift episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftRequest {
    /// Names the episode for good: a receiver that sees it twice ignores the second.
    pub episode: i64,
    /// Where the model does not fit any more.
    pub community: Community,
    /// Which model.
    pub model: ModelVersion,
    /// Which statistic moved and by how much.
    pub reason: String,
    /// Start of the window in which drift was found.
    pub window_start: DateTime<Utc>,
    /// End of that window.
    pub window_end: DateTime<Utc>,
}

/// Why a message cannot be read. Trying again does not help.
#[derive(Debug, thiserror::Error)]
#[error("the message is not of the form {expected}: {reason}")]
pub struct MessageError {
    expected: &'static str,
    reason: String,
}

impl ScoreMessage {
    /// Reads a message body.
    pub fn parse(body: &str) -> Result<Self, MessageError> {
        parse(body, "{\"item\":\"t3_…\"}")
    }

    /// The message body.
    pub fn to_json(&self) -> String {
        // An item id holds nothing that needs escaping.
        format!(r#"{{"item":"{}"}}"#, self.item)
    }
}

impl RetrainMessage {
    /// Reads a message body.
    pub fn parse(body: &str) -> Result<Self, MessageError> {
        parse(body, "{\"kind\":\"drift\"|\"start\"|\"tick\",…}")
    }

    /// The message body.
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a str, expected: &'static str) -> Result<T, MessageError> {
    serde_json::from_str(body).map_err(|e| MessageError { expected, reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let message = ScoreMessage { item: "t1_abc".parse().expect("an id") };
        assert_eq!(ScoreMessage::parse(&message.to_json()).expect("reads back"), message);
        let start = RetrainMessage::Start { by: "local:alice".into(), reason: "a \"test\"".into() };
        for message in [RetrainMessage::Tick, start, RetrainMessage::Drift(drift())] {
            assert_eq!(RetrainMessage::parse(&message.to_json()).expect("reads back"), message);
        }
    }

    fn drift() -> DriftRequest {
        DriftRequest {
            episode: 7,
            community: "r/rust".parse().expect("a community"),
            model: "v1".parse().expect("a version"),
            reason: "PSI .4".into(),
            window_start: DateTime::UNIX_EPOCH,
            window_end: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn poison_is_named() {
        for poison in ["", "not json", "{}", r#"{"item":"a b"}"#] {
            let error = ScoreMessage::parse(poison).expect_err(poison).to_string();
            assert!(error.starts_with("the message is not of the form"), "{error}");
        }
        assert!(RetrainMessage::parse(r#"{"kind":"stop"}"#).is_err());
    }
}
