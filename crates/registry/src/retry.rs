use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use crate::RegistryError;

/// How often and how slowly failed calls are tried again.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// Tries in all, the first included.
    pub attempts: usize,
    /// Wait before the second try; it doubles from then on, plus jitter of up to as much again.
    pub first_wait: Duration,
    /// No wait is longer than this before jitter.
    pub max_wait: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 5, first_wait: Duration::from_millis(500), max_wait: Duration::from_secs(8) }
    }
}

impl Retries {
    /// None.
    pub const NEVER: Self = Self { attempts: 1, first_wait: Duration::ZERO, max_wait: Duration::ZERO };

    /// Runs `attempt`, which may be repeated, until it succeeds or fails for good.
    pub(crate) async fn run<T, F, Fut>(self, attempt: F) -> Result<T, RegistryError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, RegistryError>>,
    {
        let waits = ExponentialBuilder::new()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.max_wait)
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter();
        attempt
            .retry(waits)
            .when(RegistryError::is_retryable)
            .notify(|error, wait| {
                tracing::info!(%error, wait_ms = wait.as_millis() as u64, "trying again");
            })
            .await
    }
}
