use std::sync::Arc;
use std::time::{Duration, Instant};

use modloop_domain::ModelVersion;
use modloop_store::AliasedModel;
use tokio::sync::Mutex;

use crate::{LoadModel, ModelError, Scorer, Source};

/// The models of this process: one in memory, others fetched when an alias names them.
///
/// A challenger in shadow or canary will be a second one beside the champion.
pub struct Models<L> {
    loader: L,
    shipped: ModelVersion,
    /// A bundle that failed is left alone this long, so that batches do not wait for it each time.
    try_again_after: Duration,
    state: Mutex<State>,
}

struct State {
    champion: Arc<dyn Scorer>,
    failed: Option<(ModelVersion, Instant)>,
}

/// The model that scores a batch. It stays in memory until the batch is done, whatever is switched.
#[derive(Clone)]
pub struct InService {
    /// The champion, or the last one that could be loaded.
    pub scorer: Arc<dyn Scorer>,
    /// The champion could not be loaded just now.
    pub load_failed: bool,
}

impl<L: LoadModel> Models<L> {
    /// Starts with the shipped model in service.
    pub fn new(loader: L, shipped: Arc<dyn Scorer>, try_again_after: Duration) -> Self {
        let version = shipped.version().clone();
        let state = Mutex::new(State { champion: shipped, failed: None });
        Self { loader, shipped: version, try_again_after, state }
    }

    /// The model that `alias` names (none: the shipped one), loaded when it is not in memory yet. When
    /// that fails the last good one goes on serving.
    pub async fn champion(&self, alias: Option<&AliasedModel>) -> InService {
        let mut state = self.state.lock().await;
        let wanted = alias.map_or(&self.shipped, |model| &model.version);
        if state.champion.version() == wanted || state.failed_lately(wanted, self.try_again_after) {
            return InService { scorer: state.champion.clone(), load_failed: false };
        }
        let loaded = self.load(wanted, alias.and_then(|model| model.bundle_uri.as_deref())).await;
        let load_failed = loaded.is_err();
        match loaded {
            Ok(scorer) => {
                tracing::info!(from = %state.champion.version(), to = %wanted, "the champion changed");
                *state = State { champion: scorer, failed: None };
            }
            Err(error) => {
                let serving = state.champion.version();
                tracing::error!(champion = %wanted, %serving, reason = %error, "the champion cannot be loaded");
                state.failed = Some((wanted.clone(), Instant::now()));
            }
        }
        InService { scorer: state.champion.clone(), load_failed }
    }

    async fn load(&self, wanted: &ModelVersion, uri: Option<&str>) -> Result<Arc<dyn Scorer>, ModelError> {
        let source = match uri {
            _ if *wanted == self.shipped => Source::Shipped,
            Some(uri) => Source::Stored(uri),
            None => return Err(ModelError::NoAddress(wanted.clone())),
        };
        let scorer = self.loader.load(source).await?;
        let found = scorer.version().clone();
        if found == *wanted {
            Ok(scorer)
        } else {
            Err(ModelError::OtherModel { wanted: wanted.clone(), found })
        }
    }
}

impl State {
    fn failed_lately(&self, wanted: &ModelVersion, lately: Duration) -> bool {
        self.failed.as_ref().is_some_and(|(version, when)| version == wanted && when.elapsed() < lately)
    }
}
