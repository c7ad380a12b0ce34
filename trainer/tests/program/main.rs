//! The program as a person or a training service starts it.

mod bad_input;
mod resuming;
mod sagemaker;
mod starting;
#[path = "../tiny/mod.rs"]
mod tiny;
mod workbench;
