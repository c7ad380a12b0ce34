use crate::words::words;

words! {
    /// What a window says about the model, from best to worst.
    DriftVerdict, "a drift verdict" {
        /// Nothing moved.
        Stable = "stable",
        /// Too few items to judge.
        Insufficient = "insufficient",
        /// Something moved, but not for long enough, or too soon after the last episode.
        Warning = "warning",
        /// The model no longer fits.
        Drift = "drift",
    }
}
