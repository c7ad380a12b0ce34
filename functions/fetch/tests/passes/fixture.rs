use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use modloop_cloud::{CloudError, Sent};
use modloop_domain::{Actor, ItemId};
use modloop_fetch::{Context, Limits, Queue, Report, handle};
use modloop_local::reddit::{CLIENT_ID, CLIENT_SECRET, Handle, Options, StandIn};
use modloop_reddit::{
    Deadline, Fullname, RedditClient, RedditCredentials, RedditSettings, Retries, SubredditName,
};
use modloop_store::testing::TestDatabase;
use modloop_store::{Database, DatabaseSettings};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

/// A queue in memory.
#[derive(Clone, Default)]
pub(crate) struct MemoryQueue {
    sent: Arc<Mutex<Vec<ItemId>>>,
    /// Out of order: takes nothing.
    pub(crate) down: bool,
    /// Refuses every third item.
    pub(crate) picky: bool,
}

impl MemoryQueue {
    /// How often each item was sent.
    pub(crate) fn sent(&self) -> HashMap<Fullname, usize> {
        let mut counts = HashMap::new();
        for item in self.sent.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *counts.entry(item.as_str().parse().expect("a fullname")).or_default() += 1;
        }
        counts
    }
}

impl Queue for MemoryQueue {
    async fn send(&self, items: &[ItemId]) -> Result<Sent, CloudError> {
        if self.down {
            return Err(CloudError::Unavailable {
                what: "sending to the queue".into(),
                reason: "down".into(),
            });
        }
        let mut sent = Sent::default();
        for (place, item) in items.iter().enumerate() {
            if self.picky && place % 3 == 0 {
                sent.refused.push((item.clone(), "throttled".into()));
            } else {
                sent.accepted.push(item.clone());
            }
        }
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).extend(sent.accepted.iter().cloned());
        Ok(sent)
    }
}

/// Reddit, a database that watches its subreddits, and a queue.
pub(crate) struct World {
    pub(crate) reddit: Handle,
    pub(crate) database: TestDatabase,
    pub(crate) queue: MemoryQueue,
    pub(crate) limits: Limits,
}

impl World {
    pub(crate) async fn new(options: Options) -> Self {
        let reddit = StandIn::start(options).await.expect("a stand-in");
        let database = TestDatabase::create().await;
        let world = Self { reddit, database, queue: MemoryQueue::default(), limits: Limits::default() };
        world.watch(&world.reddit.subreddits()).await;
        world
    }

    pub(crate) async fn watch(&self, subreddits: &[SubredditName]) {
        let store = self.database.store().await;
        for subreddit in subreddits {
            let added = store.add_community(&Actor::local("test"), subreddit.community()).await;
            assert!(added.expect("added"), "{subreddit} was there before");
        }
    }

    /// A pass in a process of its own, with a minute's time.
    pub(crate) async fn pass(&self) -> Report {
        self.pass_within(Duration::from_secs(60)).await
    }

    pub(crate) async fn pass_within(&self, time: Duration) -> Report {
        let context = self.context(self.queue.clone(), self.database.settings().clone(), CLIENT_SECRET);
        handle(&context, Deadline::after(time)).await
    }

    pub(crate) fn context<Q>(&self, queue: Q, database: DatabaseSettings, secret: &str) -> Context<Q> {
        let url = self.reddit.url();
        let retries = Retries { first_wait: Duration::from_millis(10), ..Retries::default() };
        let settings = RedditSettings::new(url.clone(), url.clone(), "test:modloop:0.1").expect("settings");
        let settings = settings.with_timeout(TIMEOUT).with_retries(retries);
        let credentials = RedditCredentials { client_id: CLIENT_ID.into(), client_secret: secret.into() };
        Context {
            database: Database::new(database),
            reddit: RedditClient::new(settings, credentials).expect("a client"),
            queue,
            limits: self.limits,
        }
    }

    /// Names of the items for which a condition holds.
    pub(crate) async fn items(&self, condition: &str) -> BTreeSet<Fullname> {
        let sql = format!("select id from items where {condition}");
        let rows = self.database.client().await.query(&sql, &[]).await.expect("items");
        rows.iter().map(|row| row.get::<_, &str>(0).parse().expect("a fullname")).collect()
    }

    pub(crate) async fn sql(&self, statement: &str) {
        self.database.client().await.batch_execute(statement).await.expect(statement);
    }

    /// What the stand-in shows.
    pub(crate) fn expected(&self) -> BTreeSet<Fullname> {
        self.reddit.expected_items().into_iter().map(|item| item.fullname).collect()
    }

    /// Everything on Reddit is stored, and everything stored was queued.
    pub(crate) async fn assert_complete(&self) {
        assert_eq!(self.items("content_hash is not null").await, self.expected());
        assert_eq!(self.items("pending_since is not null and queued_at is null").await, BTreeSet::new());
        assert_eq!(self.queue.sent().into_keys().collect::<BTreeSet<_>>(), self.expected());
    }
}
