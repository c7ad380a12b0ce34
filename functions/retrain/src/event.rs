use modloop_domain::{DriftRequest, RequestedBy, RetrainMessage};
use modloop_store::runs::RunRequest;
use serde_json::Value;

use crate::RetrainError;

/// What woke the function.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Messages of the queue, each with its id.
    Queue(Vec<(String, Result<Message, String>)>),
    /// An operator asks for a run, without the queue.
    Start(RunRequest),
    /// The schedule, or a job that changed its state: look how the current run stands.
    Tick,
}

/// What one message asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A run.
    Request(RunRequest),
    /// A look at the current run.
    Tick,
}

/// Longer reasons are cut off.
const MAX_REASON: usize = 500;

impl Event {
    /// Reads any event that the function is invoked with.
    ///
    /// # Errors
    /// An event with a `kind` that is not one of a [`RetrainMessage`]. Single messages of the queue fail alone.
    pub fn read(event: &Value) -> Result<Self, RetrainError> {
        if let Some(records) = event.get("Records").and_then(Value::as_array) {
            return Ok(Self::Queue(records.iter().map(record).collect()));
        }
        if event.get("kind").is_none() {
            return Ok(Self::Tick);
        }
        match message(&event.to_string()).map_err(RetrainError::Event)? {
            Message::Request(request) => Ok(Self::Start(request)),
            Message::Tick => Ok(Self::Tick),
        }
    }
}

fn record(record: &Value) -> (String, Result<Message, String>) {
    let id = record["messageId"].as_str().unwrap_or_default().to_owned();
    (id, message(record["body"].as_str().unwrap_or_default()))
}

fn message(body: &str) -> Result<Message, String> {
    Ok(match RetrainMessage::parse(body).map_err(|e| e.to_string())? {
        RetrainMessage::Drift(DriftRequest { episode, community, model, reason, .. }) => {
            let reason = shortened(&format!("{community}: {reason}"));
            let (episode, model) = (Some(episode), Some(model));
            Message::Request(RunRequest { by: RequestedBy::Monitor, reason, episode, model })
        }
        RetrainMessage::Start { by, reason } => {
            let reason = shortened(&format!("{by}: {reason}"));
            Message::Request(RunRequest { by: RequestedBy::Operator, reason, episode: None, model: None })
        }
        RetrainMessage::Tick => Message::Tick,
    })
}

fn shortened(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_of_events_are_told_apart() {
        let monitor =
            json!({"kind": "drift", "episode": 7, "community": "r/city_talk", "model": "v1", "reason": "PSI .4",
            "window_start": "2026-11-22T10:00:00Z", "window_end": "2026-11-22T11:00:00Z"})
            .to_string();
        let records = json!({"Records": [
            {"messageId": "a", "body": monitor}, {"messageId": "b", "body": "{}"},
            {"messageId": "c", "body": "{\"kind\":\"tick\"}"},
        ]});
        let Event::Queue(messages) = Event::read(&records).expect("an event") else { panic!("a queue") };
        let request = RunRequest {
            by: RequestedBy::Monitor,
            reason: "r/city_talk: PSI .4".into(),
            episode: Some(7),
            model: "v1".parse().ok(),
        };
        assert_eq!(messages[0], ("a".into(), Ok(Message::Request(request))));
        assert!(messages[1].1.is_err());
        assert_eq!(messages[2].1, Ok(Message::Tick));
        let job = json!({"source": "aws.sagemaker", "detail": {"TrainingJobStatus": "Completed"}});
        assert_eq!(Event::read(&job).expect("an event"), Event::Tick);
        let start = json!({"kind": "start", "by": "local:alice", "reason": "a test"});
        assert!(matches!(Event::read(&start), Ok(Event::Start(_))));
        assert!(Event::read(&json!({"kind": "stop"})).is_err());
    }
}
