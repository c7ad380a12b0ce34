//! The local cloud: everything the stack needs, as processes on this machine.

mod account;
pub mod claim;
pub mod cloud;
pub mod deploy;
pub mod endpoint;
mod fingerprint;
pub mod functions;
pub mod labeler;
pub mod logs;
pub mod mlflow;
pub mod package;
mod ports;
pub mod postgres;
pub mod processes;
pub mod queues;
pub mod reddit;
pub mod sagemaker;
pub mod secrets;
