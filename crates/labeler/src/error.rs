/// Why there is no labeler. Trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum LabelerError {
    /// The settings cannot work.
    #[error("{0}")]
    Settings(String),
    /// The rubric cannot be used.
    #[error("the rubric cannot be used: {0}")]
    Rubric(String),
    /// A variable is missing or unusable.
    #[error(transparent)]
    Environment(#[from] modloop_environment::EnvironmentError),
}
