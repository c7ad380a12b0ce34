use chrono::{DateTime, TimeDelta, Utc};
use modloop_store::drift::Window;
use serde::Deserialize;

use crate::MonitorError;
use crate::settings::hours;

/// What the function is invoked with. The schedule's own event has neither field.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Event {
    /// End of the window, for a run by hand.
    pub window_end: Option<DateTime<Utc>>,
    /// Length of the window in hours, for a run by hand.
    pub window_hours: Option<f64>,
}

/// Lengths of a window that somebody may ask for.
const MIN_HOURS: f64 = 0.02;
const MAX_HOURS: f64 = 8784.0;

/// A prediction is written a moment after the time it carries.
const SETTLING: TimeDelta = TimeDelta::minutes(2);

/// Two machines do not quite agree on the time.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(1);

impl Event {
    /// The window to look at. Without an end it is the last whole one: windows lie end to end from 1970 on,
    /// so that every run before the next window is over looks at the same.
    pub fn window(self, scheduled: TimeDelta, now: DateTime<Utc>) -> Result<Window, MonitorError> {
        let length = match self.window_hours {
            Some(asked) if (MIN_HOURS..=MAX_HOURS).contains(&asked) => hours(asked),
            Some(hours) => return Err(MonitorError::WindowLength { hours }),
            None => scheduled,
        };
        let end = match self.window_end {
            Some(end) if end > now + CLOCKS_DIFFER => return Err(MonitorError::WindowNotOver { end, now }),
            Some(end) => end,
            None => last_whole(now - SETTLING, length),
        };
        Ok(Window { start: end - length, end })
    }
}

fn last_whole(now: DateTime<Utc>, length: TimeDelta) -> DateTime<Utc> {
    let into = now.timestamp().rem_euclid(length.num_seconds().max(1));
    DateTime::from_timestamp(now.timestamp() - into, 0).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn window(event: &str, now: &str) -> Result<(DateTime<Utc>, DateTime<Utc>), MonitorError> {
        let event: Event = serde_json::from_str(event).expect("an event");
        event.window(TimeDelta::hours(24), at(now)).map(|window| (window.start, window.end))
    }

    #[test]
    fn every_run_of_a_day_looks_at_the_day_before() {
        let day = (at("2026-11-21T00:00:00Z"), at("2026-11-22T00:00:00Z"));
        for now in ["2026-11-22T00:02:00Z", "2026-11-22T12:34:56Z", "2026-11-23T00:01:59Z"] {
            assert_eq!(window("{}", now).expect("a window"), day, "{now}");
        }
    }

    #[test]
    fn the_event_of_a_schedule_has_other_fields() {
        let event =
            r#"{"version": "0", "source": "aws.events", "time": "2026-11-22T12:00:00Z", "detail": {}}"#;
        assert_eq!(window(event, "2026-11-22T12:00:01Z").expect("a window").1, at("2026-11-22T00:00:00Z"));
    }

    #[test]
    fn a_person_may_ask_for_any_window() {
        let event = r#"{"window_end": "2026-11-22T11:30:00Z", "window_hours": 1.5}"#;
        let expected = (at("2026-11-22T10:00:00Z"), at("2026-11-22T11:30:00Z"));
        assert_eq!(window(event, "2026-11-22T12:00:00Z").expect("a window"), expected);
    }

    #[test]
    fn windows_that_make_no_sense_are_refused() {
        let future = window(r#"{"window_end": "2026-11-22T12:02:00Z"}"#, "2026-11-22T12:00:00Z");
        assert!(future.expect_err("not over").to_string().contains("is not over yet"));
        let length = window(r#"{"window_hours": -3}"#, "2026-11-22T12:00:00Z");
        assert!(length.expect_err("negative").to_string().contains("window_hours -3"));
    }
}
