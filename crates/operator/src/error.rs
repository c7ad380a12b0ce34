use modloop_domain::{Community, Label};
use modloop_store::StoreError;
use modloop_store::models::SwitchError;
use modloop_store::permissions::PermissionError;
use modloop_store::runs::StopError;
use modloop_store::settings::ChangeError;

/// Why a command is not done.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Settings are refused.
    #[error(transparent)]
    Settings(#[from] ChangeError),
    /// A run is not stopped.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// A model is not switched.
    #[error(transparent)]
    Switch(#[from] SwitchError),
    /// A permission is not stored.
    #[error(transparent)]
    Permission(#[from] PermissionError),
    /// A community that is not known here.
    #[error(
        "{0} is not known here; `modloop communities list` shows those that are, `communities add` adds one"
    )]
    UnknownCommunity(Community),
    /// A label that the champion does not have.
    #[error("the champion has no label {label}; it has {}", names(known))]
    UnknownLabel {
        /// What was said.
        label: Label,
        /// What there is.
        known: Vec<Label>,
    },
    /// No model is known yet.
    #[error("no model is known yet, so there are no labels; start the inference function once")]
    NoModel,
    /// Not a user's name.
    #[error(
        "{0:?} is not the name of an author: expected a name without white space, such as alice or u/alice"
    )]
    AuthorName(String),
    /// A permission without words.
    #[error(
        "the statement is empty or longer than 2000 characters; say what texts may be used for, and why you may say so"
    )]
    Statement,
}

impl OperatorError {
    /// Whether the same command may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_retryable())
    }
}

fn names(labels: &[Label]) -> String {
    labels.iter().map(Label::as_str).collect::<Vec<_>>().join(", ")
}
