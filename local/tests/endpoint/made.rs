//! What a test makes in the cloud, and how it goes again.

use std::collections::HashMap;
use std::sync::Mutex;

use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_sqs::types::QueueAttributeName;
use modloop_cloud::SdkConfig;

use crate::cloud::{TestCloud, unique_name};

/// A corner of the cloud for one test. Dropping it deletes all that was made through it.
pub(crate) struct Corner {
    made: Mutex<Vec<Made>>,
    pub(crate) cloud: TestCloud,
    pub(crate) config: SdkConfig,
}

/// By what each thing is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Made {
    Bucket(String),
    Queue { url: String },
    Secret(String),
    Rule(String),
}

impl Corner {
    pub(crate) async fn open() -> Self {
        let cloud = TestCloud::find().await;
        Self { made: Mutex::default(), config: cloud.config().await, cloud }
    }

    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        s3(&self.config)
    }

    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config)
    }

    pub(crate) fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.config)
    }

    pub(crate) fn events(&self) -> aws_sdk_eventbridge::Client {
        aws_sdk_eventbridge::Client::new(&self.config)
    }

    /// Before the call where the name is ours: a call whose answer is lost may have made it.
    pub(crate) fn note(&self, made: Made) {
        self.made.lock().expect("no test panics here").push(made);
    }

    /// A new bucket.
    pub(crate) async fn bucket(&self) -> String {
        let name = unique_name("bucket");
        self.note(Made::Bucket(name.clone()));
        self.s3().create_bucket().bucket(&name).send().await.expect("a bucket");
        name
    }

    /// A new queue, by its address.
    pub(crate) async fn queue(&self) -> String {
        self.queue_with([]).await
    }

    pub(crate) async fn queue_with<const N: usize>(
        &self,
        attributes: [(QueueAttributeName, String); N],
    ) -> String {
        let create = self.sqs().create_queue().queue_name(unique_name("queue"));
        let made = create.set_attributes(Some(HashMap::from(attributes))).send().await.expect("a queue");
        let url = made.queue_url().expect("a queue has an address").to_owned();
        self.note(Made::Queue { url: url.clone() });
        url
    }

    /// ARN of a queue.
    pub(crate) async fn arn(&self, queue: &str) -> String {
        let ask =
            self.sqs().get_queue_attributes().queue_url(queue).attribute_names(QueueAttributeName::QueueArn);
        let answer = ask.send().await.expect("a queue's attributes");
        let arn = answer.attributes().and_then(|all| all.get(&QueueAttributeName::QueueArn));
        arn.expect("a queue has an ARN").clone()
    }

    /// A new secret, by its ARN.
    pub(crate) async fn secret(&self, text: &str) -> String {
        let name = unique_name("secret");
        self.note(Made::Secret(name.clone()));
        let made = self.secrets().create_secret().name(name).secret_string(text).send().await;
        made.expect("a secret").arn().expect("a secret has an ARN").to_owned()
    }
}

/// A bucket has no host name of its own here.
fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let settings = aws_sdk_s3::config::Builder::from(config).force_path_style(true).build();
    aws_sdk_s3::Client::from_conf(settings)
}

impl Drop for Corner {
    fn drop(&mut self) {
        let made = std::mem::take(&mut *self.made.lock().expect("no test panics here"));
        let cloud = self.cloud.clone();
        // A thread with a runtime of its own: drop cannot wait inside the test's runtime.
        let deleting = std::thread::spawn(move || delete_all(&cloud, made));
        let left = deleting.join().unwrap_or_else(|_| vec!["everything: deleting it panicked".to_owned()]);
        if !left.is_empty() && !std::thread::panicking() {
            panic!("left behind in {}: {}", self.cloud.url(), left.join("; "));
        }
    }
}

/// Says what it could not delete. The newest goes first, since it may use what is older.
fn delete_all(cloud: &TestCloud, made: Vec<Made>) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let config = cloud.config().await;
        let mut left = Vec::new();
        for made in made.into_iter().rev() {
            if let Err(reason) = delete(&config, &made).await {
                left.push(format!("{made:?}: {reason}"));
            }
        }
        left
    })
}

async fn delete(config: &SdkConfig, made: &Made) -> Result<(), String> {
    match made {
        Made::Bucket(name) => delete_bucket(&s3(config), name).await,
        Made::Queue { url } => {
            let sqs = aws_sdk_sqs::Client::new(config);
            told(sqs.delete_queue().queue_url(url).send().await)
        }
        Made::Secret(name) => {
            let secrets = aws_sdk_secretsmanager::Client::new(config);
            told(secrets.delete_secret().secret_id(name).force_delete_without_recovery(true).send().await)
        }
        Made::Rule(name) => {
            let events = aws_sdk_eventbridge::Client::new(config);
            told(events.remove_targets().rule(name).ids(crate::rules::TARGET).send().await)?;
            told(events.delete_rule().name(name).send().await)
        }
    }
}

async fn delete_bucket(s3: &aws_sdk_s3::Client, name: &str) -> Result<(), String> {
    let objects = s3.list_objects_v2().bucket(name).send().await;
    let objects = objects.map_err(|error| DisplayErrorContext(error).to_string())?;
    for key in objects.contents().iter().filter_map(|object| object.key()) {
        told(s3.delete_object().bucket(name).key(key).send().await)?;
    }
    told(s3.delete_bucket().bucket(name).send().await)
}

fn told<T, E: std::error::Error>(answer: Result<T, E>) -> Result<(), String> {
    answer.map(|_done| ()).map_err(|error| DisplayErrorContext(error).to_string())
}

#[tokio::test]
async fn what_a_test_made_is_gone_after_it_failed() {
    let witness = Corner::open().await;
    // In a thread of its own, whose panic is this test's subject.
    let failed = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let corner = Corner::open().await;
            let (bucket, queue) = (corner.bucket().await, corner.queue().await);
            let secret = corner.secret("{}").await;
            let body = aws_sdk_s3::primitives::ByteStream::from_static(b"x");
            corner.s3().put_object().bucket(&bucket).key("a/b").body(body).send().await.expect("stored");
            std::panic::panic_any((bucket, queue, secret));
        });
    });
    let names = failed.join().expect_err("it fails");
    let (bucket, queue, secret) = *names.downcast::<(String, String, String)>().expect("its own words");
    assert!(witness.s3().head_bucket().bucket(bucket).send().await.is_err());
    let attributes = witness.sqs().get_queue_attributes().queue_url(queue);
    assert!(attributes.send().await.is_err());
    assert!(witness.secrets().get_secret_value().secret_id(secret).send().await.is_err());
}
