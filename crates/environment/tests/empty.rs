//! A template hands over every parameter, set or not.

use modloop_environment::{EnvironmentError, optional, parsed, required};

/// Cargo sets it to nothing for a package without a homepage; no test changes the environment.
const EMPTY: &str = "CARGO_PKG_HOMEPAGE";

#[test]
fn a_variable_set_to_nothing_is_not_set() {
    assert_eq!(std::env::var(EMPTY).as_deref(), Ok(""), "the package has a homepage: take another variable");
    assert_eq!(optional(EMPTY), Ok(None));
    assert_eq!(parsed(EMPTY, Some(7), "a number"), Ok(7));
    let missing = required(EMPTY, "set it");
    assert_eq!(missing, Err(EnvironmentError::Missing { name: EMPTY.into(), what_to_do: "set it".into() }));
}
