//! `cargo xtask`: everything a person types in this repository.

mod layout;
mod setup;

fn main() {}
