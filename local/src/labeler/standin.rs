use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

use super::faults::{Fault, Faults};
use super::judge::Judge;
use super::server::{HOLD, router};
use super::stats::{Counters, Stats};
use crate::ports::stable_port;

/// How the stand-in behaves.
#[derive(Clone)]
pub struct Options {
    /// What it answers.
    pub judge: Judge,
    /// A tenth of the answers go wrong.
    pub faults: Option<Faults>,
    /// How long each answer takes.
    pub think: Duration,
    /// File that notes the port, so that a later start listens at the same address. Any free port without it.
    pub port_note: Option<PathBuf>,
}

impl Options {
    /// Answers by `judge`, at once and without faults.
    pub fn new(judge: Judge) -> Self {
        Self { judge, faults: None, think: Duration::ZERO, port_note: None }
    }

    /// A tenth of the answers go wrong.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults: Some(faults), ..self }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { judge: _, faults, think, port_note } = self;
        let mut out = f.debug_struct("Options");
        out.field("faults", faults)
            .field("think", think)
            .field("port_note", port_note)
            .finish_non_exhaustive()
    }
}

/// What the server works with.
pub(crate) struct Site {
    judge: Judge,
    faults: Option<Faults>,
    pub(crate) think: Duration,
    pub(crate) counters: Counters,
    wrong: AtomicBool,
    next: Mutex<VecDeque<Fault>>,
}

impl Site {
    pub(crate) fn judge(&self, label: &str, text: &str) -> bool {
        (self.judge)(label, text) != self.wrong.load(Ordering::Relaxed)
    }

    /// What is wrong with this answer: what was asked for, else what the seed says.
    pub(crate) fn fault(&self, number: u64) -> Option<Fault> {
        self.next().pop_front().or_else(|| self.faults.and_then(|faults| faults.of(number)))
    }

    pub(crate) fn hold(&self) -> Duration {
        self.faults.map_or(HOLD, |faults| faults.hold)
    }

    fn next(&self) -> std::sync::MutexGuard<'_, VecDeque<Fault>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the server.
pub struct StandIn;

impl StandIn {
    /// Listens on 127.0.0.1.
    pub async fn start(options: Options) -> anyhow::Result<Handle> {
        let port = options.port_note.as_deref().map_or(Ok(0), stable_port)?;
        let listener =
            TcpListener::bind(("127.0.0.1", port)).await.context("no free port for the LLM stand-in")?;
        let url: Url = format!("http://{}/v1", listener.local_addr()?).parse()?;
        let Options { judge, faults, think, port_note: _ } = options;
        let (counters, wrong, next) = (Counters::default(), AtomicBool::default(), Mutex::default());
        let site = Arc::new(Site { judge, faults, think, counters, wrong, next });
        let app = router(Arc::clone(&site));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the LLM stand-in stopped");
            }
        });
        Ok(Handle { url, site, server })
    }
}

/// A running stand-in, until dropped.
pub struct Handle {
    url: Url,
    site: Arc<Site>,
    server: JoinHandle<()>,
}

impl Handle {
    /// The base address, for `LABELER_URL`. Key and model are [`super::API_KEY`] and [`super::MODEL`].
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// From now on every answer is the opposite of the right one; `false` ends it.
    pub fn answer_wrongly(&self, wrong: bool) {
        self.site.wrong.store(wrong, Ordering::Relaxed);
    }

    /// The next answers go wrong like this, one after the other.
    pub fn break_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.site.next().extend(faults);
    }

    /// What was asked so far.
    pub fn stats(&self) -> Stats {
        self.site.counters.stats()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.server.abort();
    }
}
