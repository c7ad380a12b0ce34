use serde::{Deserialize, Serialize};

use crate::Fullname;

/// What travels in the scoring queue: the item's name and never its text, so that text deleted on
/// Reddit does not live on in a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueMessage {
    /// The item to score.
    pub item: Fullname,
}

/// Why a queue message cannot be read. Trying again will not help.
#[derive(Debug, thiserror::Error)]
#[error("the queue message is not of the form {{\"item\":\"t3_…\"}}: {0}")]
pub struct MessageError(String);

impl QueueMessage {
    /// Reads a message body.
    pub fn parse(body: &str) -> Result<Self, MessageError> {
        serde_json::from_str(body).map_err(|e| MessageError(e.to_string()))
    }

    /// The message body.
    pub fn to_json(&self) -> String {
        // A fullname holds nothing that needs escaping.
        format!(r#"{{"item":"{}"}}"#, self.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let message = QueueMessage { item: "t1_abc".parse().expect("a fullname") };
        assert_eq!(QueueMessage::parse(&message.to_json()).expect("reads back"), message);
    }

    #[test]
    fn poison_is_named() {
        for poison in ["", "not json", "{}", r#"{"item":"t5_x"}"#] {
            let error = QueueMessage::parse(poison).expect_err(poison).to_string();
            assert!(error.starts_with("the queue message is not of the form"), "{error}");
        }
    }
}
