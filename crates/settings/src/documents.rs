use serde::{Deserialize, Serialize};

use crate::range::{number, whole};
use crate::{Document, Problem};

/// How drift is looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Monitor {
    /// Length of a window.
    pub window_hours: f64,
    /// Fewer items in a window or in its reference decide nothing.
    pub min_items: u32,
    /// Windows in a row with a breach that make drift.
    pub breaches: u32,
    /// A community's first items that become its own reference.
    pub reference_items: u32,
    /// How long after an episode no other one opens.
    pub cooldown_hours: f64,
    /// Width of the buckets that predictions are condensed into. A window is a whole number of them, else it is
    /// counted from the predictions themselves, which takes longer.
    pub bucket_minutes: u32,
}

const YEAR_HOURS: f64 = 366.0 * 24.0;

impl Default for Monitor {
    fn default() -> Self {
        Self {
            window_hours: 24.0,
            min_items: 200,
            breaches: 2,
            reference_items: 2000,
            cooldown_hours: 24.0,
            bucket_minutes: 60,
        }
    }
}

impl Document for Monitor {
    const NAME: &'static str = "monitor";
    const ABOUT: &'static str = "How drift is looked for";

    fn check(&self) -> Result<(), Problem> {
        number("window_hours", self.window_hours, 0.02..=YEAR_HOURS)?;
        whole("min_items", self.min_items.into(), 1..=1_000_000)?;
        whole("breaches", self.breaches.into(), 1..=100)?;
        whole("reference_items", self.reference_items.into(), 10..=1_000_000)?;
        number("cooldown_hours", self.cooldown_hours, 0.0..=YEAR_HOURS)?;
        whole("bucket_minutes", self.bucket_minutes.into(), 1..=1440)
    }
}

/// How long texts are kept. Counts are kept for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Days that texts of items are kept that nobody flagged or labeled.
    pub text_days: u16,
    /// Days that texts of flagged and labeled items are kept.
    pub kept_days: u16,
    /// For how many weeks partitions are made ahead of time.
    pub weeks_ahead: u16,
}

impl Default for Retention {
    fn default() -> Self {
        Self { text_days: 90, kept_days: 365, weeks_ahead: 8 }
    }
}

impl Document for Retention {
    const NAME: &'static str = "retention";
    const ABOUT: &'static str = "How long texts are kept";

    fn check(&self) -> Result<(), Problem> {
        whole("text_days", self.text_days.into(), 14..=3650)?;
        whole("kept_days", self.kept_days.into(), u64::from(self.text_days)..=3650)?;
        whole("weeks_ahead", self.weeks_ahead.into(), 2..=52)
    }
}
