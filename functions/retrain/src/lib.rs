//! From a retrain request to a new champion, or not: the state machine of training runs.
//!
//! [`start`] builds the [`Context`] once per process; [`handle`] takes one event and moves the active run as
//! far as it goes. README.md says what is written when, and how a repeat finds what is there.

mod advance;
mod bundles;
mod context;
mod deadline;
mod error;
mod event;
mod handler;
mod mirror;
mod outside;
mod settings;
mod steps;

pub use advance::Advanced;
pub use context::{Context, start};
pub use deadline::Deadline;
pub use error::RetrainError;
pub use event::Event;
pub use handler::{Answer, handle};
pub use outside::{
    Files, Jobs, KeepModels, LabelTexts, LlmLabeler, Measure, Measurement, Mlflow, NoRegistry, Outside,
    RunBudget, ServedModels,
};
pub use settings::{RunSettings, Settings, Training};
