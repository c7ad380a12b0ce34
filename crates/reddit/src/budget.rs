use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::{Instant, sleep_until};

use crate::{Deadline, RedditError};

/// Reddit's published limit for one application.
const PER_MINUTE: usize = 100;

/// A second more than a minute: requests may reach Reddit closer together than they were sent.
const WINDOW: Duration = Duration::from_secs(61);

/// No header makes the client wait longer than this.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// Decides when the next request may be sent: at most [`PER_MINUTE`] in a minute, none while Reddit has
/// said that its own allowance is used up or that it wants to be left alone.
#[derive(Debug, Default)]
pub(crate) struct RateBudget {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the latest requests were sent, oldest first; never more than [`PER_MINUTE`].
    sent: VecDeque<Instant>,
    closed_until: Option<Instant>,
}

impl RateBudget {
    /// Waits until a request may be sent and counts it.
    pub(crate) async fn spend(&self, deadline: Deadline) -> Result<(), RedditError> {
        loop {
            let now = Instant::now();
            let free_at = match self.state().try_spend(now) {
                Ok(()) => return Ok(()),
                Err(free_at) => free_at,
            };
            if free_at >= deadline.instant() {
                return Err(RedditError::Budget { wait: free_at - now });
            }
            sleep_until(free_at).await;
        }
    }

    /// Learns from the headers of an answer.
    pub(crate) fn learn(&self, headers: &HeaderMap) {
        if let Some(pause) = asked_pause(headers, Utc::now()) {
            self.state().close_until(Instant::now() + pause);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is never left half-changed, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts a request, or tells when it may be tried again.
    fn try_spend(&mut self, now: Instant) -> Result<(), Instant> {
        let full_until = match self.sent.front() {
            Some(&oldest) if self.sent.len() == PER_MINUTE => Some(oldest + WINDOW),
            _ => None,
        };
        match full_until.max(self.closed_until) {
            Some(free_at) if free_at > now => Err(free_at),
            _ => {
                if self.sent.len() == PER_MINUTE {
                    self.sent.pop_front();
                }
                self.sent.push_back(now);
                Ok(())
            }
        }
    }

    fn close_until(&mut self, moment: Instant) {
        self.closed_until = self.closed_until.max(Some(moment));
    }
}

/// The pause an answer asks for: `Retry-After`, or what is left of Reddit's window once its allowance is
/// used up (`x-ratelimit-remaining` is a float; below one there is no whole request left).
fn asked_pause(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let used_up = match (number(headers, "x-ratelimit-remaining"), number(headers, "x-ratelimit-reset")) {
        (Some(remaining), Some(reset)) if remaining < 1.0 => pause_of(reset),
        _ => None,
    };
    used_up.max(retry_after(headers, now))
}

/// `Retry-After` in seconds or as an HTTP date.
pub(crate) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<f64>() {
        Ok(seconds) => pause_of(seconds),
        Err(_) => {
            let moment = DateTime::parse_from_rfc2822(value).ok()?;
            pause_of((moment.to_utc() - now).num_milliseconds() as f64 / 1000.0)
        }
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn pause_of(seconds: f64) -> Option<Duration> {
    // NaN and negative numbers ask for nothing.
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(MAX_PAUSE.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |v: &str| HeaderValue::from_str(v).expect("a header value");
        pairs.iter().map(|(name, v)| (reqwest::header::HeaderName::from_static(name), value(v))).collect()
    }

    fn pause(pairs: &[(&'static str, &str)]) -> Option<u64> {
        let now = "2026-11-22T12:00:00Z".parse().expect("a date");
        asked_pause(&headers(pairs), now).map(|pause| pause.as_secs())
    }

    #[test]
    fn headers_are_understood() {
        assert_eq!(pause(&[("x-ratelimit-remaining", "997.0"), ("x-ratelimit-reset", "15")]), None);
        assert_eq!(pause(&[("x-ratelimit-remaining", "0.6"), ("x-ratelimit-reset", "15")]), Some(15));
        assert_eq!(pause(&[("retry-after", "4")]), Some(4));
        assert_eq!(pause(&[("retry-after", "Sun, 22 Nov 2026 12:00:07 GMT")]), Some(7));
        assert_eq!(pause(&[("retry-after", "Sun, 22 Nov 2026 11:00:00 GMT")]), None);
        assert_eq!(pause(&[("retry-after", "soon")]), None);
        assert_eq!(pause(&[("retry-after", "1e300")]), Some(3600));
        assert_eq!(
            pause(&[("retry-after", "2"), ("x-ratelimit-remaining", "0.0"), ("x-ratelimit-reset", "30")]),
            Some(30)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_used_up_allowance_closes_the_gate_until_the_reset() {
        let budget = RateBudget::default();
        let start = Instant::now();
        budget.learn(&headers(&[("x-ratelimit-remaining", "0.0"), ("x-ratelimit-reset", "30")]));
        let refused = budget.spend(Deadline::after(Duration::from_secs(10))).await.expect_err("too early");
        assert!(refused.is_out_of_budget() && start.elapsed().is_zero(), "{refused}");
        budget.spend(Deadline::after(Duration::from_secs(60))).await.expect("room after the reset");
        assert_eq!(start.elapsed().as_secs(), 30);
    }

    /// Moments at which a client that wants to send after the given pauses may do so.
    async fn sent_after(pauses: &[u64]) -> Vec<Instant> {
        let budget = RateBudget::default();
        let mut sent = Vec::new();
        for pause in pauses {
            tokio::time::sleep(Duration::from_millis(*pause)).await;
            budget.spend(Deadline::after(Duration::from_secs(600))).await.expect("in time");
            sent.push(Instant::now());
        }
        sent
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_minute_sees_more_than_a_hundred(pauses in proptest::collection::vec(0u64..900, 0..350)) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time().start_paused(true).build().expect("a runtime");
            let sent = runtime.block_on(sent_after(&pauses));
            for window in sent.windows(PER_MINUTE + 1) {
                prop_assert!(window[PER_MINUTE] - window[0] >= Duration::from_secs(60));
            }
        }
    }
}
