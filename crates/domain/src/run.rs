use crate::words::words;

words! {
    /// How far a training run has come: what was reached, not what is being tried.
    RunState, "a state of a run" {
        /// Waits for its turn.
        Requested = "requested",
        /// Items are being chosen.
        Sampling = "sampling",
        /// The sample is stored; labels are being asked for.
        Labeling = "labeling",
        /// The data set is in S3; the job is started and awaited.
        Training = "training",
        /// The job is done; the challenger is measured and judged.
        Evaluating = "evaluating",
        /// The challenger passed the gate and is in the registry.
        Registered = "registered",
        /// The challenger scores beside the champion and decides nothing.
        Shadow = "shadow",
        /// The challenger decides for a share of the items.
        Canary = "canary",
        /// The challenger took over.
        Champion = "champion",
        /// The challenger was not better, or there was no ground to train.
        Rejected = "rejected",
        /// The challenger failed its trial.
        RolledBack = "rolled_back",
        /// Something broke that trying again does not mend.
        Failed = "failed",
        /// An operator stopped it.
        Stopped = "stopped",
    }
}

impl RunState {
    /// Whether the run is over.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Champion | Self::Rejected | Self::RolledBack | Self::Failed | Self::Stopped)
    }
}

words! {
    /// Who asked for a run.
    RequestedBy, "somebody who asks for runs" {
        /// Drift was found.
        Monitor = "monitor",
        /// The calendar.
        Schedule = "schedule",
        /// A person.
        Operator = "operator",
    }
}
