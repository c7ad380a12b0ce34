//! Prepares pinned tools under the ignored folder.
