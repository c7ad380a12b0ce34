//! The rules of our template in EventBridge: a clock, and the state changes of training jobs.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, RuleState, Target};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use crate::cloud::unique_name;
use crate::made::{Corner, Made};
use crate::queues::{receive, take, take_within};

/// Id of a rule's only target.
pub(crate) const TARGET: &str = "queue";

const STATE_CHANGE: &str = "SageMaker Training Job State Change";

/// A rate of one minute, the shortest there is, and a clock that looks every so often.
const TWO_TICKS: Duration = Duration::from_secs(150);

/// The template's pattern as the template writes it, white space aside.
const IN_TEMPLATE: &str = "Pattern: source: [aws.sagemaker] detail-type: [SageMaker Training Job State Change] \
    detail: TrainingJobName: [{prefix: modloop-}] TrainingJobStatus: [Completed, Failed, Stopped]";

/// The same as EventBridge takes it; with another `source` where a cloud must deliver what we send.
fn pattern(source: &str) -> Value {
    json!({
        "source": [source],
        "detail-type": [STATE_CHANGE],
        "detail": {
            "TrainingJobName": [{"prefix": "modloop-"}],
            "TrainingJobStatus": ["Completed", "Failed", "Stopped"],
        },
    })
}

fn detail(job: &str, status: &str) -> Value {
    json!({"TrainingJobName": job, "TrainingJobStatus": status, "FailureReason": "out of „memory\" <1>"})
}

fn event(source: &str, kind: &str, detail: Value) -> Value {
    json!({
        "version": "0", "id": "00000000-0000-0000-0000-000000000000", "account": "000000000000",
        "time": "2026-11-22T10:00:00Z", "region": "us-east-1", "resources": [],
        "source": source, "detail-type": kind, "detail": detail,
    })
}

fn entry(source: &str, job: &str) -> PutEventsRequestEntry {
    let entry = PutEventsRequestEntry::builder().source(source).detail_type(STATE_CHANGE);
    entry.detail(detail(job, "Failed").to_string()).build()
}

/// A queue that EventBridge may send to.
async fn open_queue(corner: &Corner) -> String {
    let queue = corner.queue().await;
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage", "Resource": corner.arn(&queue).await,
    }]});
    let set = corner.sqs().set_queue_attributes().queue_url(&queue);
    let set = set.attributes(QueueAttributeName::Policy, policy.to_string());
    set.send().await.expect("a policy");
    queue
}

async fn aim(events: &Client, rule: &str, corner: &Corner, queue: &str) {
    let target = Target::builder().id(TARGET).arn(corner.arn(queue).await).build().expect("a target");
    let answer = events.put_targets().rule(rule).targets(target).send().await.expect("a target");
    assert_eq!(answer.failed_entry_count(), 0, "{answer:?}");
}

/// A rule that sends matching events to a new queue.
async fn listen(corner: &Corner, pattern: &Value) -> String {
    let (rule, queue) = (unique_name("rule"), open_queue(corner).await);
    corner.note(Made::Rule(rule.clone()));
    let put = corner.events().put_rule().name(&rule).event_pattern(pattern.to_string());
    put.send().await.expect("a rule");
    aim(&corner.events(), &rule, corner, &queue).await;
    queue
}

/// A rule that sends to a new queue every minute.
async fn tick(corner: &Corner, state: RuleState) -> String {
    let (rule, queue) = (unique_name("clock"), open_queue(corner).await);
    corner.note(Made::Rule(rule.clone()));
    let put = corner.events().put_rule().name(&rule).schedule_expression("rate(1 minute)").state(state);
    put.send().await.expect("a rule");
    aim(&corner.events(), &rule, corner, &queue).await;
    queue
}

fn body(message: &aws_sdk_sqs::types::Message) -> Value {
    serde_json::from_str(message.body().expect("a body")).expect("JSON")
}

#[tokio::test]
async fn the_rule_hears_of_our_training_jobs_that_ended_and_of_nothing_else() {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/template.yaml");
    let template = std::fs::read_to_string(template).expect("the template");
    let template = template.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(template.contains(IN_TEMPLATE), "the template's pattern is another one than this test's");

    let corner = Corner::open().await;
    let (sagemaker, ours, status) = ("aws.sagemaker", "modloop-2026-11-23.1", "Completed");
    let cases = [
        (event(sagemaker, STATE_CHANGE, detail(ours, status)), true),
        (event(sagemaker, STATE_CHANGE, detail(ours, "Failed")), true),
        (event(sagemaker, STATE_CHANGE, detail(ours, "Stopped")), true),
        (event(sagemaker, STATE_CHANGE, detail(ours, "InProgress")), false),
        (event(sagemaker, STATE_CHANGE, detail("somebody-elses", status)), false),
        (event(sagemaker, "SageMaker Model State Change", detail(ours, status)), false),
        (event("somebody.else", STATE_CHANGE, detail(ours, status)), false),
    ];
    for (event, heard) in cases {
        let test = corner.events().test_event_pattern().event_pattern(pattern(sagemaker).to_string());
        let answer = test.event(event.to_string()).send().await.expect("an answer");
        assert_eq!(answer.result(), heard, "{event}");
    }
}

#[tokio::test]
async fn a_matching_event_arrives_whole_and_another_does_not() {
    let corner = Corner::open().await;
    let source = unique_name("source");
    let queue = listen(&corner, &pattern(&source)).await;
    let (other, ours) = (entry(&source, "somebody-elses"), entry(&source, "modloop-2026-11-23.1"));
    let put = corner.events().put_events().entries(other).entries(ours).send().await.expect("accepted");
    assert_eq!(put.failed_entry_count(), 0, "{put:?}");
    let arrived = body(&take(&corner.sqs(), &queue, 1).await[0]);
    assert_eq!(arrived["source"], source);
    assert_eq!(arrived["detail-type"], STATE_CHANGE);
    assert_eq!(arrived["detail"], detail("modloop-2026-11-23.1", "Failed"));
    assert_is_a_tick(&arrived);
    assert!(receive(&corner.sqs(), &queue, 1).await.is_empty(), "the other one is not ours");
}

/// AWS lets nobody speak for its services. A cloud that does must deliver; of one that does not it is said.
#[tokio::test]
async fn an_event_in_the_name_of_sagemaker_is_delivered_or_refused() {
    let corner = Corner::open().await;
    let queue = listen(&corner, &pattern("aws.sagemaker")).await;
    // A name that the rule hears, and no other test's.
    let job = unique_name("job");
    let put = corner.events().put_events().entries(entry("aws.sagemaker", &job)).send().await;
    let put = put.expect("an answer");
    if put.failed_entry_count() == 0 {
        let arrived = body(&take(&corner.sqs(), &queue, 1).await[0]);
        assert_eq!(arrived["detail"], detail(&job, "Failed"));
        return;
    }
    let code = put.entries()[0].error_code().unwrap_or_default();
    assert!(code.starts_with("NotAuthorizedForSource"), "{put:?}");
    assert!(receive(&corner.sqs(), &queue, 1).await.is_empty(), "what is refused is not delivered");
    // Past the test harness, which would keep it to itself.
    let words = "  not shown here: this cloud takes no events in SageMaker's name ({code}), so that the\n  \
                 template's pattern is only matched, and delivery is shown with another source\n";
    std::io::stderr().write_all(words.replace("{code}", code).as_bytes()).expect("told");
}

#[tokio::test]
async fn the_clock_ticks_when_it_is_switched_on() {
    let corner = Corner::open().await;
    let off = tick(&corner, RuleState::Disabled).await;
    let on = tick(&corner, RuleState::Enabled).await;
    let arrived = body(&take_within(&corner.sqs(), &on, 1, TWO_TICKS).await[0]);
    assert_eq!(arrived["source"], "aws.events");
    assert_eq!(arrived["detail-type"], "Scheduled Event");
    assert_is_a_tick(&arrived);
    assert!(receive(&corner.sqs(), &off, 1).await.is_empty(), "this one is switched off");
}

/// By these two fields retrain tells orders and queues from clocks and state changes.
fn assert_is_a_tick(event: &Value) {
    assert!(event.get("kind").is_none() && event.get("Records").is_none(), "{event}");
}
