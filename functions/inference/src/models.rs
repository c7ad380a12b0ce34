use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use modloop_domain::ModelVersion;
use modloop_store::models::{AliasedModel, Challenger};
use tokio::sync::Mutex;

use crate::{LoadModel, ModelError, Scorer, Source};

/// The models of this process: the champion in memory, a challenger on trial beside it, others fetched when
/// an alias names them.
pub struct Models<L> {
    loader: L,
    shipped: ModelVersion,
    /// A bundle that failed is left alone this long, so that batches do not wait for it each time.
    try_again_after: Duration,
    state: Mutex<State>,
}

struct State {
    champion: Arc<dyn Scorer>,
    challenger: Option<Arc<dyn Scorer>>,
    failed: HashMap<ModelVersion, Instant>,
}

/// A challenger and its model, where that can be had.
#[derive(Clone)]
pub struct OnTrial {
    /// What the alias says.
    pub challenger: Challenger,
    /// `None`: its bundle cannot be loaded, and the champion does all the work.
    pub scorer: Option<Arc<dyn Scorer>>,
    /// It could not be loaded just now.
    pub load_failed: bool,
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
        let state = Mutex::new(State { champion: shipped, challenger: None, failed: HashMap::new() });
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
        let loaded = match state.challenger.take_if(|challenger| challenger.version() == wanted) {
            // It was on trial here, and took over.
            Some(challenger) => Ok(challenger),
            None => self.load(wanted, alias.and_then(|model| model.bundle_uri.as_deref())).await,
        };
        let load_failed = loaded.is_err();
        match loaded {
            Ok(scorer) => {
                tracing::info!(from = %state.champion.version(), to = %wanted, "the champion changed");
                state.failed.remove(wanted);
                state.champion = scorer;
            }
            Err(error) => {
                let serving = state.champion.version();
                tracing::error!(champion = %wanted, %serving, reason = %error, "the champion cannot be loaded");
                state.failed.insert(wanted.clone(), Instant::now());
            }
        }
        InService { scorer: state.champion.clone(), load_failed }
    }

    /// The model on trial, loaded when it is not in memory yet; dropped when the trial is over.
    pub async fn on_trial(&self, challenger: Option<&Challenger>) -> Option<OnTrial> {
        let mut state = self.state.lock().await;
        let Some(challenger) = challenger else {
            state.challenger = None;
            return None;
        };
        let wanted = &challenger.model.version;
        let on_trial =
            |scorer, load_failed| Some(OnTrial { challenger: challenger.clone(), scorer, load_failed });
        if let Some(scorer) = state.challenger.as_ref().filter(|scorer| scorer.version() == wanted) {
            return on_trial(Some(scorer.clone()), false);
        }
        if state.failed_lately(wanted, self.try_again_after) {
            return on_trial(None, false);
        }
        match self.load(wanted, challenger.model.bundle_uri.as_deref()).await {
            Ok(scorer) => {
                tracing::info!(challenger = %wanted, mode = ?challenger.mode, "a challenger is on trial");
                state.failed.remove(wanted);
                state.challenger = Some(scorer.clone());
                on_trial(Some(scorer), false)
            }
            Err(error) => {
                tracing::error!(challenger = %wanted, reason = %error, "the challenger cannot be loaded");
                state.failed.insert(wanted.clone(), Instant::now());
                on_trial(None, true)
            }
        }
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
        self.failed.get(wanted).is_some_and(|when| when.elapsed() < lately)
    }
}
