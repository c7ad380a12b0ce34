//! The whole system on this machine: Postgres, MLflow, Reddit or its stand-in, the local cloud, training jobs, the
//! deployed template.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use modloop_domain::{Actor, Community};
use modloop_local::cloud::{Cloud, CloudFiles};
use modloop_local::deploy::{Function, STACK, Sam};
use modloop_local::functions::{Invocation, invoke};
use modloop_local::postgres::{Postgres, PostgresFiles};
use modloop_local::queues::Queue;
use modloop_local::reddit::{self, StandIn};
use modloop_local::sagemaker::{self, Sources};
use modloop_operator::Operator;
use modloop_reddit::SubredditName;
use modloop_store::{Database, DatabaseSettings, Session};
use serde_json::{Value, json};

use crate::database::DatabaseServer;
use crate::documents::Documents;
use crate::layout::Layout;
use crate::parameters::Parts;
use crate::registry::RegistryServer;
use crate::report::Stages;
use crate::retraining::{Labelers, TrainingJobs};
use crate::settings::{RedditApp, Settings};
use crate::setup::{Tools, TrainerTools};

/// Where posts and comments come from.
pub(crate) enum RedditSource {
    /// The loopback stand-in and its synthetic feed.
    StandIn(reddit::Handle),
    /// Reddit itself.
    Real(RedditApp),
}

/// Whether the clock runs the functions, or only we do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    Runs,
    Stopped,
}

/// Everything that runs. Dropping it stops all of it, the cloud first, so that no function outlives its database.
pub(crate) struct Stack {
    pub cloud: Cloud,
    pub registry: RegistryServer,
    pub database: DatabaseServer,
    pub reddit: RedditSource,
    pub jobs: TrainingJobs,
    pub labelers: Labelers,
    pub folder: PathBuf,
    sessions: Database,
    sam: Sam,
    parameters: Vec<(&'static str, String)>,
}

impl Stack {
    /// Starts and deploys everything into `folder`.
    pub(crate) async fn start(
        layout: &Layout,
        tools: &Tools<'_>,
        settings: Settings,
        folder: PathBuf,
        stand_in: reddit::Options,
        clock: Clock,
        stages: &mut Stages,
    ) -> Result<Self> {
        let logs = folder.join("logs");
        let (ministack, sam, onnxruntime) =
            (tools.ministack().await?, tools.sam().await?, tools.onnxruntime().await?);
        let bundle = modloop_environment::optional("MODLOOP_BUNDLE")?.map(PathBuf::from);
        let shipped = bundle.clone().unwrap_or_else(|| layout.root.join("models/champion"));
        let registry = match settings.registry {
            Some(own) => RegistryServer::yours(own, shipped),
            None => RegistryServer::ours(tools.mlflow().await?, &folder, shipped),
        };
        let database = match settings.database_url {
            Some(url) => DatabaseServer::yours(&url)?,
            None => start_database(tools.postgres().await?, &folder, clock, stages).await?,
        };
        let reddit = match settings.reddit {
            Some(app) => RedditSource::Real(app),
            None => RedditSource::StandIn(
                stages.run("start the Reddit stand-in", async { StandIn::start(stand_in).await }).await?,
            ),
        };
        let synthetic = matches!(reddit, RedditSource::StandIn(_));
        let labelers = Labelers::start(settings.labeler, synthetic).await?;
        let job_folder = folder.join("jobs");
        let files = CloudFiles {
            program: ministack,
            folder: folder.join("cloud"),
            log: logs.join("cloud.log"),
            sagemaker: Some(sagemaker::StandIn::address(&job_folder)?),
        };
        let cloud = stages.run("start the local cloud", Cloud::start(&files)).await?;
        let jobs = TrainingJobs::start(job_folder, &cloud).await?;
        let parts = Parts { cloud: &cloud, database: &database, reddit: &reddit, registry: &registry };
        let mut parameters = parts.parameters(clock).await?;
        parameters.extend(labelers.parameters(&cloud).await?);
        parameters.extend(jobs.parameters());
        let sam = Sam {
            program: sam,
            repository: layout.root.clone(),
            folder: layout.home.join("sam"),
            onnxruntime,
            bundle,
            log: logs.join("sam.log"),
        };
        let sessions = Database::new(DatabaseSettings::from_url(database.url())?);
        let stack =
            Self { cloud, registry, database, reddit, jobs, labelers, folder, sessions, sam, parameters };
        stages.run("build the functions", stack.sam.build()).await?;
        stages.run("deploy the template", stack.deploy()).await?;
        stages.run("migrate the database", stack.migrate(settings.training_permission)).await?;
        Ok(stack)
    }

    /// Builds and deploys again after a change of source.
    pub(crate) async fn redeploy(&self) -> Result<()> {
        self.sam.build().await?;
        self.deploy().await
    }

    async fn deploy(&self) -> Result<()> {
        self.sam.deploy(self.cloud.endpoint(), &self.parameters).await
    }

    async fn migrate(&self, permitted: bool) -> Result<()> {
        self.invoke(Function::Migrate, json!({})).await?;
        let store = self.session().await?;
        let known: BTreeSet<Community> =
            store.communities().await?.into_iter().map(|known| known.community).collect();
        let operator = Operator::new(&store, Actor::local("up"));
        for subreddit in self.subreddits() {
            if !known.contains(subreddit.community()) {
                operator.add_community(subreddit.community()).await?;
            }
        }
        let synthetic = matches!(self.reddit, RedditSource::StandIn(_));
        Documents { labelers: &self.labelers, synthetic, permitted }.write(&store).await
    }

    /// Runs a function once, and gives its answer.
    pub(crate) async fn invoke(&self, function: Function, event: Value) -> Result<Invocation> {
        invoke(self.cloud.endpoint(), function.name(), &event).await.map_err(Into::into)
    }

    /// A connection that answers, also after Postgres was restarted.
    pub(crate) async fn session(&self) -> Result<Session<'_>> {
        Ok(self.sessions.session().await?)
    }

    /// Which part stopped by itself, if one did.
    pub(crate) fn ended(&mut self) -> Result<Option<&'static str>> {
        if self.cloud.ended()?.is_some() {
            return Ok(Some("the local cloud"));
        }
        Ok(self.database.ended()?.then_some("Postgres"))
    }

    /// The queue of items to score.
    pub(crate) async fn score_queue(&self) -> Result<Queue> {
        Queue::find(self.cloud.endpoint(), &format!("{STACK}-score")).await
    }

    /// What the trainer is made from.
    pub(crate) fn trainer_sources(&self, layout: &Layout, tools: TrainerTools) -> Sources {
        Sources {
            repository: layout.root.clone(),
            libtorch: tools.libtorch,
            onnxruntime: tools.onnxruntime,
            log: self.logs().join("trainer-build.log"),
        }
    }

    /// Where messages end that failed too often.
    pub(crate) async fn dead_letters(&self) -> Result<Queue> {
        Queue::find(self.cloud.endpoint(), &format!("{STACK}-score-dead-letters")).await
    }

    /// The folder with the logs of everything.
    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// What is not the real thing.
    pub(crate) fn stand_ins(&self) -> Vec<String> {
        let mut names = vec!["aws: ministack, a local cloud".to_owned()];
        if matches!(self.reddit, RedditSource::StandIn(_)) {
            names.push("reddit: a loopback stand-in with a synthetic feed".to_owned());
        }
        if matches!(self.labelers, Labelers::StandIn(_)) {
            names.push("llm: a loopback stand-in that knows what the feed means".to_owned());
        }
        names.push("sagemaker: a loopback stand-in that runs the trainer on this machine".to_owned());
        names
    }

    fn subreddits(&self) -> Vec<SubredditName> {
        match &self.reddit {
            RedditSource::StandIn(stand_in) => stand_in.subreddits(),
            RedditSource::Real(app) => app.subreddits.clone(),
        }
    }
}

/// Where the Postgres of a run in `folder` keeps its data, or says where that lies.
pub(crate) fn postgres_folder(folder: &Path) -> PathBuf {
    folder.join("postgres")
}

async fn start_database(
    installation: PathBuf,
    folder: &Path,
    clock: Clock,
    stages: &mut Stages,
) -> Result<DatabaseServer> {
    let log = folder.join("logs/postgres.log");
    let files = PostgresFiles { installation, folder: postgres_folder(folder), log };
    let postgres = stages.run("start Postgres", Postgres::start(files)).await?;
    // A stack without a clock runs once.
    DatabaseServer::ours(if clock == Clock::Stopped { postgres.throw_away() } else { postgres })
}
