use modloop_domain::{ModelVersion, SubredditName};
use modloop_store::{RequestedBy, RunRequest};
use serde::Deserialize;
use serde_json::Value;

use crate::RetrainError;

/// What the function is invoked with.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Messages of the retrain queue, each with its id.
    Queue(Vec<(String, Result<Message, String>)>),
    /// A person asks for a run.
    Start(RunRequest),
    /// A clock, or a training job that changed its state: the active run moves on.
    Tick,
}

/// A message of the retrain queue.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A run is asked for.
    Request(RunRequest),
    /// Somebody stored a request and wants it looked at now.
    Tick,
}

/// What the monitor sends.
#[derive(Deserialize)]
struct MonitorRequest {
    episode: i64,
    subreddit: SubredditName,
    model_version: ModelVersion,
    reason: String,
}

#[derive(Deserialize)]
struct Action {
    action: String,
    #[serde(default)]
    by: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

/// Longer words would be somebody's whole text.
const LONGEST_REASON: usize = 500;

impl Event {
    /// Tells the kinds of events apart by their fields.
    pub fn read(event: &Value) -> Result<Self, RetrainError> {
        if let Some(records) = event.get("Records").and_then(Value::as_array) {
            return Ok(Self::Queue(records.iter().map(record).collect()));
        }
        if event.get("action").is_none() {
            return Ok(Self::Tick);
        }
        match action(event).map_err(RetrainError::Event)? {
            Message::Request(request) => Ok(Self::Start(request)),
            Message::Tick => Ok(Self::Tick),
        }
    }
}

fn record(record: &Value) -> (String, Result<Message, String>) {
    // SQS always gives an id. Without one, the empty id makes Lambda return the whole batch.
    let id = record["messageId"].as_str().unwrap_or_default().to_owned();
    let body: Result<Value, String> =
        serde_json::from_str(record["body"].as_str().unwrap_or_default()).map_err(|e| e.to_string());
    (id, body.and_then(|body| message(&body)))
}

fn message(body: &Value) -> Result<Message, String> {
    if body.get("action").is_some() {
        return action(body);
    }
    let request: MonitorRequest = serde_json::from_value(body.clone()).map_err(|e| e.to_string())?;
    let MonitorRequest { episode, subreddit, model_version, reason } = request;
    let reason = shortened(&format!("r/{subreddit}: {reason}"));
    let (episode, model) = (Some(episode), Some(model_version));
    Ok(Message::Request(RunRequest { by: RequestedBy::Monitor, reason, episode, model }))
}

fn action(body: &Value) -> Result<Message, String> {
    let Action { action, by, reason } = serde_json::from_value(body.clone()).map_err(|e| e.to_string())?;
    match action.as_str() {
        "start" => {
            let by = by.unwrap_or_else(|| "an operator".into());
            let reason = shortened(&format!("{by}: {}", reason.unwrap_or_else(|| "by hand".into())));
            Ok(Message::Request(RunRequest { by: RequestedBy::Operator, reason, episode: None, model: None }))
        }
        "tick" => Ok(Message::Tick),
        other => Err(format!("action {other:?} is neither \"start\" nor \"tick\"")),
    }
}

fn shortened(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_of_events_are_told_apart() {
        let monitor =
            json!({"episode": 7, "subreddit": "city_talk", "model_version": "v1", "reason": "PSI .4",
            "window": {"start": "2026-11-22T10:00:00Z", "end": "2026-11-22T11:00:00Z"}})
            .to_string();
        let records = json!({"Records": [
            {"messageId": "a", "body": monitor}, {"messageId": "b", "body": "{}"},
            {"messageId": "c", "body": "{\"action\":\"tick\"}"},
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
        assert!(matches!(Event::read(&json!({"action": "start"})), Ok(Event::Start(_))));
        assert!(Event::read(&json!({"action": "stop"})).is_err());
    }
}
