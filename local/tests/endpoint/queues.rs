//! The queues, by the code that fetch, monitor and `modloop retrain` use.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use axum::http::StatusCode;
use modloop_cloud::{CloudError, RetrainQueue, ScoreQueue};
use modloop_domain::{ItemId, RetrainMessage, ScoreMessage};
use serde_json::json;
use tokio::time::Instant;

use crate::made::Corner;
use crate::trouble::{Fate, before};

/// Queues are slow to show what was sent; more than this is broken.
const PATIENCE: Duration = Duration::from_secs(30);

fn items(count: usize) -> Vec<ItemId> {
    (0..count).map(|number| format!("t1_{number}").parse().expect("a fullname")).collect()
}

/// Takes messages until there are `count`, and deletes them. More than that would show in the next call.
pub(crate) async fn take(sqs: &Client, url: &str, count: usize) -> Vec<Message> {
    take_within(sqs, url, count, PATIENCE).await
}

pub(crate) async fn take_within(sqs: &Client, url: &str, count: usize, limit: Duration) -> Vec<Message> {
    let (begun, mut taken) = (Instant::now(), Vec::new());
    while taken.len() < count {
        assert!(begun.elapsed() < limit, "{} of {count} messages came", taken.len());
        for message in receive(sqs, url, 1).await {
            let handle = message.receipt_handle().expect("a handle");
            sqs.delete_message().queue_url(url).receipt_handle(handle).send().await.expect("deleted");
            taken.push(message);
        }
    }
    taken
}

/// One look of `seconds`.
pub(crate) async fn receive(sqs: &Client, url: &str, seconds: i32) -> Vec<Message> {
    let ask = sqs.receive_message().queue_url(url).max_number_of_messages(10).wait_time_seconds(seconds);
    let ask = ask.message_attribute_names("All");
    let ask = ask.message_system_attribute_names(MessageSystemAttributeName::All);
    ask.send().await.expect("an answer").messages.unwrap_or_default()
}

fn item(message: &Message) -> ItemId {
    ScoreMessage::parse(message.body().expect("a body")).expect("one of ours").item
}

#[tokio::test]
async fn every_item_becomes_one_message_that_holds_its_name_alone() {
    let corner = Corner::open().await;
    let (sqs, url) = (corner.sqs(), corner.queue().await);
    let items = items(23);
    let sent = ScoreQueue::new(&corner.config, &url).send(&items).await.expect("sent");
    assert_eq!((sent.accepted.len(), sent.refused.len()), (23, 0));
    let messages = take(&sqs, &url, 23).await;
    let names: BTreeSet<ItemId> = messages.iter().map(item).collect();
    assert_eq!(names, items.into_iter().collect());
    for message in &messages {
        let name = item(message);
        assert_eq!(message.body(), Some(format!("{{\"item\":\"{name}\"}}").as_str()));
        assert!(message.message_attributes().is_none_or(|all| all.is_empty()), "{message:?}");
    }
    assert!(receive(&sqs, &url, 1).await.is_empty(), "one message an item");
}

#[tokio::test]
async fn a_call_takes_ten_and_no_more() {
    let corner = Corner::open().await;
    let url = corner.queue().await;
    let entry = |id: usize| SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body("{}");
    let entries = |count| (0..count).map(|id| entry(id).build().expect("an entry")).collect::<Vec<_>>();
    let call = |count| corner.sqs().send_message_batch().queue_url(&url).set_entries(Some(entries(count)));
    let refused = call(11).send().await.expect_err("eleven").into_service_error();
    assert!(refused.is_too_many_entries_in_batch_request(), "{refused}");
    assert_eq!(call(10).send().await.expect("ten").successful().len(), 10);
}

#[tokio::test]
async fn an_item_that_is_refused_does_not_stop_the_others() {
    let corner = Corner::open().await;
    let (sqs, url) = (corner.sqs(), corner.queue().await);
    let picky = before(corner.cloud.url(), |_| Fate::WithoutEntry(3)).await;
    let queue = ScoreQueue::new(&corner.cloud.config_at(&picky).await, &url);
    let sent = queue.send(&items(10)).await.expect("most are sent");
    assert_eq!(sent.refused, [("t1_3".parse().expect("a name"), "no room at the moment".to_owned())]);
    let names: BTreeSet<ItemId> = take(&sqs, &url, 9).await.iter().map(item).collect();
    assert_eq!(names, sent.accepted.into_iter().collect(), "what counts as sent is what is there");
}

#[tokio::test]
async fn a_queue_that_closes_half_way_tells_what_it_took() {
    let corner = Corner::open().await;
    let (sqs, url) = (corner.sqs(), corner.queue().await);
    let closed = Fate::Refused(StatusCode::FORBIDDEN, "AccessDeniedException");
    let closing = before(corner.cloud.url(), move |call| if call == 0 { Fate::Pass } else { closed }).await;
    let queue = ScoreQueue::new(&corner.cloud.config_at(&closing).await, &url);
    let sent = queue.send(&items(25)).await.expect("the first ten");
    assert_eq!((sent.accepted.len(), sent.refused.len()), (10, 15));
    assert!(sent.refused.iter().all(|(_, reason)| reason.contains("was refused")), "{sent:?}");
    let names: Vec<ItemId> = take(&sqs, &url, 10).await.iter().map(item).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>(), sent.accepted.iter().collect());
    let error = queue.send(&items(1)).await.expect_err("nothing was taken");
    assert!(!error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_named_and_not_tried_again() {
    let corner = Corner::open().await;
    let url = corner.queue().await.replace("modloop-test", "modloop-gone");
    let score = ScoreQueue::new(&corner.config, &url).send(&items(1)).await.expect_err("no queue");
    let retrain =
        RetrainQueue::new(&corner.config, &url).send(&RetrainMessage::Tick).await.expect_err("no queue");
    for error in [score, retrain] {
        assert!(matches!(error, CloudError::Refused { .. }) && !error.is_retryable(), "{error}");
        assert!(error.to_string().contains(&url), "{error}");
    }
}

#[tokio::test]
async fn a_cloud_that_does_not_answer_may_be_asked_again() {
    let corner = Corner::open().await;
    let url = corner.queue().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    let queue = ScoreQueue::new(&corner.cloud.config_at(&nobody).await, &url);
    let error = queue.send(&items(1)).await.expect_err("nobody is there");
    assert!(matches!(error, CloudError::Unavailable { .. }) && error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_request_to_retrain_arrives_as_it_was_written() {
    let corner = Corner::open().await;
    let url = corner.queue().await;
    let request = RetrainMessage::Start { by: "local:ada".into(), reason: "„PSI\" 🙂 <&>".into() };
    RetrainQueue::new(&corner.config, &url).send(&request).await.expect("sent");
    let messages = take(&corner.sqs(), &url, 1).await;
    let body = RetrainMessage::parse(messages[0].body().expect("a body")).expect("a message");
    assert_eq!(body, request);
}

/// The way of a message that nobody can use, with the queue's settings of the template, and back by hand.
#[tokio::test]
async fn poison_is_set_aside_with_its_attributes_and_can_be_sent_again() {
    let corner = Corner::open().await;
    let (sqs, dead) = (corner.sqs(), corner.queue().await);
    let redrive = json!({"deadLetterTargetArn": corner.arn(&dead).await, "maxReceiveCount": 2}).to_string();
    let attributes = [
        (QueueAttributeName::RedrivePolicy, redrive),
        (QueueAttributeName::VisibilityTimeout, "0".to_owned()),
    ];
    let url = corner.queue_with(attributes).await;
    let note = MessageAttributeValue::builder().data_type("String").string_value("by hand");
    let note = note.build().expect("an attribute");
    let send = sqs.send_message().queue_url(&url).message_body("no queue message");
    send.message_attributes("sent", note.clone()).send().await.expect("sent");

    let begun = Instant::now();
    let mut tries = 0;
    let letter = loop {
        assert!(begun.elapsed() < PATIENCE, "after {tries} tries no dead letter");
        for message in receive(&sqs, &url, 0).await {
            assert!(ScoreMessage::parse(message.body().expect("a body")).is_err());
            tries += 1;
        }
        if let Some(letter) = receive(&sqs, &dead, 0).await.pop() {
            break letter;
        }
    };
    assert_eq!(tries, 2, "as often as the queue allows");
    assert_eq!(letter.body(), Some("no queue message"));
    assert_eq!(letter.message_attributes().and_then(|all| all.get("sent")), Some(&note));

    ScoreQueue::new(&corner.config, &url).send(&items(1)).await.expect("put right and sent again");
    assert_eq!(item(&take(&sqs, &url, 1).await[0]), items(1)[0]);
}
