//! Compares a window of predictions with what is normal for the model, says whether it still fits, and asks
//! once for a retraining when it does not.

mod assess;
mod context;
mod error;
mod event;
mod handler;
mod reference;
mod request;
mod settings;
mod summary;

pub use context::{Context, start};
pub use error::MonitorError;
pub use event::Event;
pub use handler::handle;
pub use reference::{ReferenceKind, grid, length_bounds};
pub use request::RetrainRequests;
pub use settings::Settings;
pub use summary::{Entry, Summary};
