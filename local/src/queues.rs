//! SQS queues of the stack.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::endpoint::{Endpoint, Json};

/// A queue.
#[derive(Debug, Clone)]
pub struct Queue {
    endpoint: Endpoint,
    url: String,
}

/// How many messages a queue holds. SQS calls these numbers approximate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Ready to be taken.
    pub waiting: u64,
    /// Taken and not finished, or failed and not yet due again.
    pub in_flight: u64,
}

impl Depth {
    /// Whether nothing is left to do.
    pub fn is_empty(self) -> bool {
        self.waiting == 0 && self.in_flight == 0
    }
}

/// A message as it lies in a queue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Message {
    /// What SQS calls it.
    pub message_id: String,
    /// What was sent.
    pub body: String,
}

impl Queue {
    /// Finds the queue called `name`.
    pub async fn find(endpoint: &Endpoint, name: &str) -> Result<Self> {
        let found = endpoint.call("AmazonSQS.GetQueueUrl", Json::V1_0, json!({ "QueueName": name })).await?;
        let url =
            found["QueueUrl"].as_str().with_context(|| format!("queue {name} has no address: {found}"))?;
        Ok(Self { endpoint: endpoint.clone(), url: url.to_owned() })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many messages it holds.
    pub async fn depth(&self) -> Result<Depth> {
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let answer = self.call("GetQueueAttributes", json!({ "AttributeNames": names })).await?;
        let count = |name: &str| -> Result<u64> {
            let text = answer["Attributes"][name].as_str();
            text.and_then(|n| n.parse().ok())
                .with_context(|| format!("{} tells no {name}: {answer}", self.url))
        };
        Ok(Depth { waiting: count(names[0])?, in_flight: count(names[1])? })
    }

    /// Sends a message.
    pub async fn send(&self, body: &str) -> Result<()> {
        self.call("SendMessage", json!({ "MessageBody": body })).await?;
        Ok(())
    }

    /// Reads the messages and leaves them in the queue; they are out of others' sight for two seconds.
    pub async fn peek(&self) -> Result<Vec<Message>> {
        let mut seen = BTreeMap::new();
        loop {
            let input = json!({ "MaxNumberOfMessages": 10, "VisibilityTimeout": 2, "WaitTimeSeconds": 0 });
            let answer = self.call("ReceiveMessage", input).await?;
            let batch: Vec<Message> = match &answer["Messages"] {
                Value::Null => Vec::new(),
                messages => serde_json::from_value(messages.clone())
                    .with_context(|| format!("{} holds something odd: {answer}", self.url))?,
            };
            let known = seen.len();
            seen.extend(batch.into_iter().map(|message| (message.message_id.clone(), message)));
            if seen.len() == known {
                return Ok(seen.into_values().collect());
            }
        }
    }

    /// Deletes every message.
    pub async fn purge(&self) -> Result<()> {
        self.call("PurgeQueue", json!({})).await?;
        Ok(())
    }

    async fn call(&self, action: &str, mut input: Value) -> Result<Value> {
        input["QueueUrl"] = self.url.as_str().into();
        self.endpoint.call(&format!("AmazonSQS.{action}"), Json::V1_0, input).await
    }
}
