use std::collections::BTreeMap;

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use modloop_domain::{ItemId, ScoreMessage};

/// The messages of one event, sorted by what they name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Each item once, with every message that names it: the queue may deliver twice.
    pub items: BTreeMap<ItemId, Vec<String>>,
    /// Messages that name no item. They fail until SQS moves them to the dead-letter queue.
    pub poison: Vec<String>,
}

/// Longer reasons would be somebody's whole message.
const REASON_LENGTH: usize = 200;

impl Batch {
    /// Reads every message and logs those that are poison.
    pub fn read(event: SqsEvent) -> Self {
        let mut batch = Self::default();
        for message in event.records {
            // SQS always gives an id. Without one, the empty id makes Lambda return the whole batch.
            let id = message.message_id.clone().unwrap_or_default();
            match ScoreMessage::parse(message.body.as_deref().unwrap_or_default()) {
                Ok(ScoreMessage { item }) => batch.items.entry(item).or_default().push(id),
                Err(error) => {
                    log_poison(&message, &error.to_string());
                    batch.poison.push(id);
                }
            }
        }
        batch
    }

    /// The items to score.
    pub fn names(&self) -> Vec<ItemId> {
        self.items.keys().cloned().collect()
    }

    /// The messages that name any of these items.
    pub fn messages<'a>(&self, names: impl IntoIterator<Item = &'a ItemId>) -> Vec<String> {
        names.into_iter().filter_map(|name| self.items.get(name)).flatten().cloned().collect()
    }
}

fn log_poison(message: &SqsMessage, reason: &str) {
    let reason: String = reason.chars().take(REASON_LENGTH).collect();
    tracing::error!(
        message_id = message.message_id,
        receive_count = message.attributes.get("ApproximateReceiveCount"),
        reason,
        "poison message; it moves to the dead-letter queue when its tries are used up"
    );
}
