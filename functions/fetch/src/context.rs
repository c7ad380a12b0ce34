use std::time::Duration;

use modloop_cloud::{ScoreQueue, SdkConfig, sdk_config, secret};
use modloop_environment::{EnvironmentError, parsed, required};
use modloop_reddit::{RedditClient, RedditSettings};
use modloop_store::{Database, DatabaseSettings};
use url::Url;

/// What a pass needs, built once per process.
pub struct Context<Q> {
    /// Where items go.
    pub database: Database,
    /// Where they come from. Holds the rate budget, so it outlives a pass.
    pub reddit: RedditClient,
    /// Where their names go.
    pub queue: Q,
    /// How much one pass may do.
    pub limits: Limits,
}

/// How much one pass may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Pages of one listing. The rest is read by the next pass.
    pub pages: u32,
    /// Stored items that are checked for edits and deletions.
    pub recheck: u32,
    /// How long a queued item may take to be scored before it is queued again.
    pub requeue_after: Duration,
}

impl Default for Limits {
    /// Ten pages are all that Reddit shows of a listing; five hundred items are checked in five requests.
    fn default() -> Self {
        Self { pages: 10, recheck: 500, requeue_after: Duration::from_secs(15 * 60) }
    }
}

/// Reads the environment and the secrets, and connects to the database. Any error says what is wrong and
/// what to do; the process does not serve then.
pub async fn start() -> anyhow::Result<Context<ScoreQueue>> {
    let settings = Settings::from_environment()?;
    let cloud = sdk_config().await;
    let (reddit, database) = tokio::try_join!(reddit(&settings, &cloud), database(&settings, &cloud))?;
    let queue = ScoreQueue::new(&cloud, &settings.score_queue_url);
    tracing::info!(limits = ?settings.limits, "ready");
    Ok(Context { database, reddit, queue, limits: settings.limits })
}

struct Settings {
    database_secret_arn: String,
    reddit_secret_arn: String,
    score_queue_url: String,
    reddit: RedditSettings,
    limits: Limits,
}

impl Settings {
    fn from_environment() -> anyhow::Result<Self> {
        let url = |name, default: &str| {
            parsed(name, Url::parse(default).ok(), "an address such as https://oauth.reddit.com")
        };
        let reddit = RedditSettings::new(
            url("REDDIT_API_URL", "https://oauth.reddit.com")?,
            url("REDDIT_AUTH_URL", "https://www.reddit.com")?,
            &required("REDDIT_USER_AGENT", "set it to platform:app:version (by /u/your_name)")?,
        )?;
        Ok(Self {
            database_secret_arn: required(
                "DATABASE_SECRET_ARN",
                "set it to the ARN of the secret with the database's username and password",
            )?,
            reddit_secret_arn: required(
                "REDDIT_SECRET_ARN",
                "set it to the ARN of the secret with client_id and client_secret",
            )?,
            score_queue_url: required("SCORE_QUEUE_URL", "set it to the URL of the queue of items to score")?,
            reddit,
            limits: limits()?,
        })
    }
}

fn limits() -> Result<Limits, EnvironmentError> {
    let default = Limits::default();
    let seconds = parsed(
        "FETCH_REQUEUE_AFTER_SECONDS",
        Some(default.requeue_after.as_secs()),
        "a whole number of seconds",
    )?;
    Ok(Limits {
        pages: parsed("FETCH_PAGE_LIMIT", Some(default.pages), "a whole number of pages")?.max(1),
        recheck: parsed("FETCH_RECHECK_LIMIT", Some(default.recheck), "a whole number of items")?,
        requeue_after: Duration::from_secs(seconds),
    })
}

async fn reddit(settings: &Settings, cloud: &SdkConfig) -> anyhow::Result<RedditClient> {
    let credentials = secret(cloud, &settings.reddit_secret_arn).await?;
    Ok(RedditClient::new(settings.reddit.clone(), credentials)?)
}

async fn database(settings: &Settings, cloud: &SdkConfig) -> anyhow::Result<Database> {
    let credentials = secret(cloud, &settings.database_secret_arn).await?;
    let database = Database::new(DatabaseSettings::from_environment(credentials)?);
    drop(database.session().await?);
    Ok(database)
}
