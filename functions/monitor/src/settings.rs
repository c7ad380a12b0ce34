use std::num::NonZeroU32;
use std::str::FromStr;

use chrono::TimeDelta;
use modloop_drift::Policy;
use modloop_environment::{EnvironmentError, parsed};

/// A length of time as people configure it: hours, decimals allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours(TimeDelta);

impl Hours {
    /// Of a window: whole seconds, from a minute to a year.
    pub fn new(hours: f64) -> Option<Self> {
        const MINUTE: f64 = 60.0;
        const YEAR: f64 = 366.0 * 24.0 * 3600.0;
        let seconds = (hours * 3600.0).round();
        (MINUTE..=YEAR).contains(&seconds).then(|| Self(TimeDelta::seconds(seconds as i64)))
    }

    /// The same as a duration.
    pub fn length(self) -> TimeDelta {
        self.0
    }
}

impl FromStr for Hours {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().ok().and_then(Self::new).ok_or(())
    }
}

/// Hours, 0 included.
struct Rest(TimeDelta);

impl FromStr for Rest {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<f64>() {
            Ok(0.0) => Ok(Self(TimeDelta::zero())),
            _ => text.parse().map(|hours: Hours| Self(hours.length())),
        }
    }
}

/// What an operator may set, read and checked once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long the windows of scheduled runs are.
    pub window: Hours,
    /// How many first predictions in a subreddit make its own reference.
    pub reference_items: u32,
    /// When a movement becomes a verdict.
    pub policy: Policy,
}

impl Settings {
    /// Reads MONITOR_WINDOW_HOURS (24), MONITOR_REFERENCE_ITEMS (2000), MONITOR_MIN_ITEMS (200),
    /// MONITOR_BREACHES (2) and MONITOR_COOLDOWN_HOURS (24).
    pub fn from_environment() -> Result<Self, EnvironmentError> {
        let day = TimeDelta::hours(24);
        let at_least_one = "a whole number from 1 on";
        let number =
            |name, default| parsed(name, NonZeroU32::new(default), at_least_one).map(NonZeroU32::get);
        let window = parsed("MONITOR_WINDOW_HOURS", Some(Hours(day)), "hours from 0.02 to 8784, such as 24")?;
        let cooldown = parsed("MONITOR_COOLDOWN_HOURS", Some(Rest(day)), "hours from 0 to 8784, such as 24")?;
        Ok(Self {
            window,
            reference_items: number("MONITOR_REFERENCE_ITEMS", 2000)?,
            policy: Policy {
                minimum_items: u64::from(number("MONITOR_MIN_ITEMS", 200)?),
                breaches: number("MONITOR_BREACHES", 2)?,
                cooldown: cooldown.0,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_a_minute_to_a_year() {
        let length = |text: &str| text.parse().map(|hours: Hours| hours.length().num_seconds());
        assert_eq!((length("24"), length("0.5"), length("0.02")), (Ok(86_400), Ok(1800), Ok(72)));
        for bad in ["0", "-1", "0.001", "9000", "NaN", "inf", "a day", ""] {
            assert_eq!(length(bad), Err(()), "{bad}");
        }
    }

    #[test]
    fn no_rest_at_all_may_be_configured() {
        assert!("0".parse::<Rest>().is_ok_and(|rest| rest.0.is_zero()));
        assert!("-1".parse::<Rest>().is_err());
    }

    // No test sets a MONITOR_ variable.
    #[test]
    fn unset_variables_have_defaults() {
        let settings = Settings::from_environment().expect("defaults");
        assert_eq!(settings.window.length(), TimeDelta::hours(24));
        assert_eq!((settings.policy.minimum_items, settings.policy.breaches), (200, 2));
        assert_eq!((settings.reference_items, settings.policy.cooldown), (2000, TimeDelta::hours(24)));
    }
}
