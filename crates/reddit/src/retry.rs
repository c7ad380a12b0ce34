use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use crate::{Deadline, RedditError};

/// How often and how slowly failed requests are tried again.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// Tries in all, the first included.
    pub attempts: usize,
    /// Wait before the second try; it doubles from then on, plus jitter of up to as much again.
    pub first_wait: Duration,
    /// No wait is longer than this before jitter, unless `Retry-After` asks for more.
    pub max_wait: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 6, first_wait: Duration::from_millis(500), max_wait: Duration::from_secs(20) }
    }
}

impl Retries {
    /// Runs `attempt` until it succeeds, fails for good, or the next wait would pass the deadline.
    pub(crate) async fn run<T, F, Fut>(self, deadline: Deadline, attempt: F) -> Result<T, RedditError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, RedditError>>,
    {
        let waits = ExponentialBuilder::new()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.max_wait)
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter();
        attempt
            .retry(waits)
            .when(RedditError::is_retryable)
            .adjust(|error, wait| {
                let wait = wait?.max(error.retry_after().unwrap_or_default());
                deadline.allows_waiting(wait).then_some(wait)
            })
            .notify(|error, wait| {
                tracing::info!(%error, wait_ms = wait.as_millis() as u64, "trying again");
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    fn status(status: u16, retry_after: Option<u64>) -> RedditError {
        RedditError::Status {
            request: "GET /x".into(),
            status,
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    async fn tries(error: impl Fn() -> RedditError, within: Duration) -> (usize, Duration) {
        let (count, start) = (Cell::new(0), Instant::now());
        let result: Result<(), _> = Retries::default()
            .run(Deadline::after(within), || {
                count.set(count.get() + 1);
                let error = error();
                async { Err(error) }
            })
            .await;
        assert!(result.is_err());
        (count.get(), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_retry_cannot_help_is_tried_once() {
        let (count, waited) = tries(|| status(404, None), Duration::from_secs(600)).await;
        assert_eq!((count, waited), (1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_counted_and_waits_grow() {
        let (count, waited) = tries(|| status(503, None), Duration::from_secs(600)).await;
        assert_eq!(count, 6);
        // 0.5 + 1 + 2 + 4 + 8 seconds, and at most as much again in jitter.
        assert!((15.5..=31.1).contains(&waited.as_secs_f64()), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_waited_for() {
        let (_, waited) = tries(|| status(429, Some(30)), Duration::from_secs(600)).await;
        assert!(waited >= Duration::from_secs(5 * 30), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_wait_passes_the_deadline() {
        let (count, waited) = tries(|| status(429, Some(30)), Duration::from_secs(40)).await;
        assert_eq!(count, 2);
        assert!(waited < Duration::from_secs(40), "{waited:?}");
    }
}
