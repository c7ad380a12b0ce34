use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::{Instant, sleep_until};

/// How often and how slowly a failed request is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Tries in all, the first one included.
    pub attempts: NonZeroU32,
    /// The wait before the second try, before jitter; each further one doubles.
    pub first_wait: Duration,
    /// No wait is longer than this before jitter, unless `Retry-After` asks for more.
    pub max_wait: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: NonZeroU32::new(5).unwrap_or(NonZeroU32::MIN),
            first_wait: Duration::from_secs(1),
            max_wait: Duration::from_secs(20),
        }
    }
}

impl Retries {
    /// The waits between tries. Jitter adds up to as much again, so that calls which failed together part.
    pub(crate) fn waits(self) -> impl Iterator<Item = Duration> {
        ExponentialBuilder::new()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.max_wait)
            .with_max_times(self.attempts.get() as usize - 1)
            .with_jitter()
            .build()
    }
}

/// An endpoint that asks for a pause asks it of all calls.
#[derive(Debug, Default)]
pub(crate) struct Pause(Mutex<Option<Instant>>);

impl Pause {
    /// Nobody sends before `wait` is over.
    pub(crate) fn ask(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(held.map_or(until, |other| other.max(until)));
    }

    /// Returns when sending is allowed.
    pub(crate) async fn over(&self) {
        while let Some(until) = self.until() {
            sleep_until(until).await;
        }
    }

    fn until(&self) -> Option<Instant> {
        let held = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.filter(|until| *until > Instant::now())
    }
}

/// `Retry-After` in seconds or as an HTTP date.
pub(crate) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match value.parse::<f64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            (DateTime::parse_from_rfc2822(value).ok()?.to_utc() - now).num_milliseconds() as f64 / 1000.0
        }
    };
    // NaN and negative numbers ask for nothing; a day is as good as for ever.
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(86_400.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Option<f64> {
        let now = "2026-11-22T12:00:00Z".parse().expect("a date");
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().expect("a header value"))]);
        retry_after(&headers, now).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn retry_after_is_understood() {
        assert_eq!(asked("4"), Some(4.0));
        assert_eq!(asked("Sun, 22 Nov 2026 12:00:07 GMT"), Some(7.0));
        for nothing in ["Sun, 22 Nov 2026 11:00:00 GMT", "0", "-3", "NaN", "soon"] {
            assert_eq!(asked(nothing), None, "{nothing}");
        }
        assert_eq!(asked("1e300"), Some(86_400.0));
    }

    #[test]
    fn waits_grow_with_jitter() {
        let retries = Retries { attempts: NonZeroU32::new(4).expect("four"), ..Retries::default() };
        let waits: Vec<_> = retries.waits().map(|wait| wait.as_secs_f64()).collect();
        assert_eq!(waits.len(), 3);
        for (wait, least) in waits.iter().zip([1.0, 2.0, 4.0]) {
            assert!((least..=2.0 * least).contains(wait), "{waits:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_pause_counts() {
        let (pause, start) = (Pause::default(), Instant::now());
        pause.over().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        pause.ask(Duration::from_secs(9));
        pause.ask(Duration::from_secs(2));
        pause.over().await;
        assert_eq!(start.elapsed().as_secs(), 9);
    }
}
