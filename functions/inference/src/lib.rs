//! From queue messages to scores and decisions.
//!
//! [`start`] builds the [`Context`] once per process; [`handle`] is the logic of one batch.

mod batch;
mod context;
mod handler;
mod loader;
mod models;
mod report;
mod scorer;
mod trial;

pub use batch::Batch;
pub use context::{Context, start};
pub use handler::handle;
pub use loader::{BundleLoader, LoadModel, ModelError, Source};
pub use models::{InService, Models, OnTrial};
pub use report::{Report, Scored};
pub use scorer::Scorer;
