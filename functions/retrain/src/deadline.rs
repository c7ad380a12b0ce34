use std::time::{Duration, Instant, SystemTime};

/// The moment by which an invocation must have ended.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

/// Left for writing down how far a run came, and for Lambda to take the answer.
const MARGIN: Duration = Duration::from_secs(10);

/// What scoring a few thousand texts twice takes on a small Lambda, with room to spare.
const PIECE: Duration = Duration::from_secs(300);

impl Deadline {
    /// So long from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// At that moment of the clock, as Lambda says it.
    pub fn at(moment: SystemTime) -> Self {
        Self::after(moment.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Time left for work.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now()).saturating_sub(MARGIN)
    }

    /// Whether there is time for work that is done in one piece: scoring the gold set with two models.
    pub fn has_plenty(self) -> bool {
        self.left() >= PIECE
    }

    /// Whether no time is left for work.
    pub fn is_near(self) -> bool {
        self.left().is_zero()
    }
}
