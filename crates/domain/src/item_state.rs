use crate::words::words;

words! {
    /// What the source says about an item.
    ItemState, "an item's state" {
        /// The source shows it.
        Present = "present",
        /// Its author deleted it. Final.
        Deleted = "deleted",
        /// A moderator took it down, or the source did.
        Removed = "removed",
        /// The source does not know it.
        Absent = "absent",
        /// Somebody asked for it to be forgotten. Final.
        Forgotten = "forgotten",
    }
}

impl ItemState {
    /// Whether an item in this state stays in it, whatever the source shows later.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Deleted | Self::Forgotten)
    }
}
