use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use modloop_domain::{ItemId, RetrainMessage, ScoreMessage};

use crate::CloudError;

/// What SQS takes in one call.
const BATCH: usize = 10;

/// The queue of items to score.
#[derive(Debug, Clone)]
pub struct ScoreQueue {
    client: Client,
    url: String,
}

/// What became of a list of items that was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// In the queue now.
    pub accepted: Vec<ItemId>,
    /// Not in the queue, with the reason; to be sent again later.
    pub refused: Vec<(ItemId, String)>,
}

impl ScoreQueue {
    /// The queue at `url`.
    pub fn new(config: &SdkConfig, url: impl Into<String>) -> Self {
        Self { client: Client::new(config), url: url.into() }
    }

    /// Sends one message an item, ten to a call. An item that is refused does not stop the others.
    ///
    /// # Errors
    /// Only when a whole call fails before any item was accepted; afterwards the rest counts as refused,
    /// so that the caller can mark what is in the queue.
    pub async fn send(&self, items: &[ItemId]) -> Result<Sent, CloudError> {
        let mut sent = Sent::default();
        for batch in items.chunks(BATCH) {
            match self.send_batch(batch).await {
                Ok(part) => {
                    sent.accepted.extend(part.accepted);
                    sent.refused.extend(part.refused);
                }
                Err(error) if sent.accepted.is_empty() => return Err(error),
                Err(error) => sent.refused.extend(batch.iter().map(|item| (item.clone(), error.to_string()))),
            }
        }
        Ok(sent)
    }

    async fn send_batch(&self, batch: &[ItemId]) -> Result<Sent, CloudError> {
        let what = || format!("sending to queue {}", self.url);
        let mut call = self.client.send_message_batch().queue_url(&self.url);
        for (index, item) in batch.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(ScoreMessage { item: item.clone() }.to_json())
                .build()
                .map_err(|e| CloudError::Unexpected { what: what(), reason: e.to_string() })?;
            call = call.entries(entry);
        }
        let answer = call.send().await.map_err(|e| CloudError::from_sdk(what(), e))?;
        let item_of = |id: &str| id.parse::<usize>().ok().and_then(|index| batch.get(index)).cloned();
        Ok(Sent {
            accepted: answer.successful().iter().filter_map(|entry| item_of(entry.id())).collect(),
            refused: answer
                .failed()
                .iter()
                .filter_map(|entry| {
                    Some((item_of(entry.id())?, entry.message().unwrap_or(entry.code()).to_owned()))
                })
                .collect(),
        })
    }
}

/// The queue of requests to retrain.
#[derive(Debug, Clone)]
pub struct RetrainQueue {
    client: Client,
    url: String,
}

impl RetrainQueue {
    /// The queue at `url`.
    pub fn new(config: &SdkConfig, url: impl Into<String>) -> Self {
        Self { client: Client::new(config), url: url.into() }
    }

    /// Sends one message.
    pub async fn send(&self, message: &RetrainMessage) -> Result<(), CloudError> {
        let what = || format!("sending to queue {}", self.url);
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(message.to_json())
            .send()
            .await
            .map(|_accepted| ())
            .map_err(|e| CloudError::from_sdk(what(), e))
    }
}
