use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::{DatabaseSettings, Store, StoreError};

/// A [`Store`], lent until dropped.
pub type Session<'a> = MappedMutexGuard<'a, Store>;

/// Shorter than the ten seconds that Lambda gives a function to start.
const CONNECT_LIMIT: Duration = Duration::from_secs(8);

/// Keeps one connection across invocations.
///
/// A Lambda sandbox sleeps between two invocations, so the kept connection may be lost, or lead to a server
/// that became read-only in a failover. Use proves a connection: one whose statement fails in a way that
/// another connection may mend is dropped.
pub struct Database {
    settings: DatabaseSettings,
    store: Mutex<Option<Store>>,
}

impl Database {
    /// Connects with the first use.
    pub fn new(settings: DatabaseSettings) -> Self {
        Self { settings, store: Mutex::new(None) }
    }

    /// The kept connection, or a new one. Waits up to 8 s for a server that is restarting.
    pub async fn session(&self) -> Result<Session<'_>, StoreError> {
        let mut kept = self.store.lock().await;
        let store = match kept.take() {
            Some(store) if !store.is_closed() => store,
            _ => self.connect().await?,
        };
        Ok(MutexGuard::map(kept, |slot| slot.insert(store)))
    }

    /// Asks something that may be repeated without harm: a read, or a statement that changes nothing the
    /// second time. When the first answer is an error that a retry may mend (the connection was lost, the
    /// server is read-only, a deadlock), asks once more on a new connection.
    pub async fn ask<T>(
        &self,
        question: impl AsyncFn(&Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.ask_once(&question).await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "asking the database once more, on a new connection");
                self.ask_once(&question).await
            }
            answer => answer,
        }
    }

    /// Asks something that must not be repeated by itself. The connection is dropped after an error that
    /// another connection may mend.
    pub async fn ask_once<T>(
        &self,
        question: impl AsyncFn(&Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let session = self.session().await?;
        let answer = question(&session).await;
        drop(session);
        if answer.as_ref().is_err_and(StoreError::is_retryable) {
            self.store.lock().await.take();
        }
        answer
    }

    async fn connect(&self) -> Result<Store, StoreError> {
        let delays = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(1))
            .with_total_delay(Some(CONNECT_LIMIT))
            .without_max_times()
            .with_jitter();
        (|| Store::connect(&self.settings))
            .retry(delays)
            .when(StoreError::is_retryable)
            .notify(|error, after| tracing::warn!(%error, ?after, "trying the database again"))
            .await
    }
}
