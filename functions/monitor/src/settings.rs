use chrono::TimeDelta;
use modloop_drift::Policy;
use modloop_settings::{Monitor, Retention};
use modloop_store::{Store, StoreError};

/// What the operator set, as one run uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Length of a window.
    pub window: TimeDelta,
    /// How many first predictions in a community make its own reference.
    pub reference_items: u32,
    /// When a movement becomes a verdict.
    pub policy: Policy,
    /// Width of the buckets that predictions are condensed into.
    pub bucket: TimeDelta,
    /// How long texts are kept.
    pub retention: Retention,
}

impl Settings {
    /// Reads them anew for each run, so that a change works with the next one.
    pub(crate) async fn read(store: &Store) -> Result<Self, StoreError> {
        let (monitor, retention) = futures::try_join!(store.settings(), store.settings())?;
        Ok(Self::new(&monitor, retention))
    }

    fn new(monitor: &Monitor, retention: Retention) -> Self {
        Self {
            window: hours(monitor.window_hours),
            reference_items: monitor.reference_items,
            policy: Policy {
                minimum_items: monitor.min_items.into(),
                breaches: monitor.breaches,
                cooldown: hours(monitor.cooldown_hours),
            },
            bucket: TimeDelta::minutes(monitor.bucket_minutes.into()),
            retention,
        }
    }
}

/// Whole seconds. The document's range keeps the number small.
pub(crate) fn hours(hours: f64) -> TimeDelta {
    TimeDelta::seconds((hours * 3600.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_day_and_an_hour() {
        let settings = Settings::new(&Monitor::default(), Retention::default());
        assert_eq!((settings.window, settings.bucket), (TimeDelta::hours(24), TimeDelta::hours(1)));
        assert_eq!((settings.policy.minimum_items, settings.policy.breaches), (200, 2));
        assert_eq!((settings.reference_items, settings.policy.cooldown), (2000, TimeDelta::hours(24)));
    }
}
