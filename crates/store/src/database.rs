use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::{DatabaseSettings, Store, StoreError};

/// A [`Store`] that is known to answer, lent until dropped.
pub type Session<'a> = MappedMutexGuard<'a, Store>;

/// Shorter than the ten seconds that Lambda gives a function to start.
const PATIENCE: Duration = Duration::from_secs(8);

/// Keeps one connection across invocations.
///
/// A function calls [`Database::session`] with each piece of work. A Lambda sandbox sleeps between two
/// invocations, so the connection may be long gone without anybody having noticed.
pub struct Database {
    settings: DatabaseSettings,
    store: Mutex<Option<Store>>,
}

impl Database {
    /// Connects with the first [`Database::session`].
    pub fn new(settings: DatabaseSettings) -> Self {
        Self { settings, store: Mutex::new(None) }
    }

    /// The kept connection where it still answers, else a new one. Waits up to 8 s for a server that is
    /// restarting.
    pub async fn session(&self) -> Result<Session<'_>, StoreError> {
        let mut kept = self.store.lock().await;
        let store = match kept.take() {
            Some(store) if store.is_alive().await => store,
            Some(_) => {
                tracing::warn!("the database connection is gone, connecting again");
                self.connect().await?
            }
            None => self.connect().await?,
        };
        Ok(MutexGuard::map(kept, |slot| slot.insert(store)))
    }

    /// Asks on a living connection, and once more on a new one when the first answer is an error that a
    /// retry may mend: a connection lost under the statement, a deadlock.
    pub async fn ask<T>(
        &self,
        question: impl AsyncFn(&Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let first = question(&*self.session().await?).await;
        match first {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "asking the database once more");
                question(&*self.session().await?).await
            }
            answer => answer,
        }
    }

    async fn connect(&self) -> Result<Store, StoreError> {
        let delays = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(1))
            .with_total_delay(Some(PATIENCE))
            .without_max_times()
            .with_jitter();
        (|| Store::connect(&self.settings))
            .retry(delays)
            .when(StoreError::is_retryable)
            .notify(|error, after| tracing::warn!(%error, ?after, "trying the database again"))
            .await
    }
}
