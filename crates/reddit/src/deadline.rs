use std::time::Duration;

use tokio::time::Instant;

/// The moment by which work must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Time left, zero once it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    pub fn has_passed(self) -> bool {
        self.left().is_zero()
    }

    pub(crate) fn allows_waiting(self, wait: Duration) -> bool {
        wait < self.left()
    }

    pub(crate) fn instant(self) -> Instant {
        self.0
    }
}
