//! Configuration from environment variables, read and checked once at start.
//!
//! Every error names the variable and says what to put there. Values never appear in errors, since
//! some of them are secrets.

use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

/// A variable that is missing or unusable. Trying again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// Not set, or set to nothing.
    #[error("environment variable {name} is not set; {what_to_do}")]
    Missing {
        /// The variable.
        name: String,
        /// How a person mends it.
        what_to_do: String,
    },
    /// Set to bytes that are not UTF-8.
    #[error("environment variable {name} is not UTF-8; set it to plain text")]
    NotUtf8 {
        /// The variable.
        name: String,
    },
    /// Set to something that means nothing here.
    #[error("environment variable {name} cannot be used: expected {expects}")]
    Unusable {
        /// The variable.
        name: String,
        /// What would do.
        expects: String,
    },
}

/// The value of `name`; white space around it is dropped, and empty counts as unset.
pub fn optional(name: &str) -> Result<Option<String>, EnvironmentError> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value.trim().to_owned()).filter(|v| !v.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(EnvironmentError::NotUtf8 { name: name.to_owned() }),
    }
}

/// The value of `name`, or an error that ends with `what_to_do`.
pub fn required(name: &str, what_to_do: &str) -> Result<String, EnvironmentError> {
    optional(name)?
        .ok_or_else(|| EnvironmentError::Missing { name: name.to_owned(), what_to_do: what_to_do.to_owned() })
}

/// The value of `name` as a `T`, `default` when unset. Without a default an unset variable is an error.
pub fn parsed<T: FromStr>(
    name: &str,
    default: Option<T>,
    expects: &'static str,
) -> Result<T, EnvironmentError> {
    match (optional(name)?, default) {
        (Some(value), _) => value
            .parse()
            .map_err(|_| EnvironmentError::Unusable { name: name.to_owned(), expects: expects.to_owned() }),
        (None, Some(default)) => Ok(default),
        (None, None) => Err(EnvironmentError::Missing {
            name: name.to_owned(),
            what_to_do: format!("set it to {expects}"),
        }),
    }
}

/// Whether an address is on this machine: secrets may go there in the clear, and no proxy can reach it.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        let local = |url: &str| is_loopback(&url.parse().expect("a url"));
        for here in ["http://127.0.0.1:9", "http://localhost/v1", "http://[::1]:80"] {
            assert!(local(here), "{here}");
        }
        for there in ["http://localhost.example", "http://10.0.0.1", "https://oauth.reddit.com", "data:,x"] {
            assert!(!local(there), "{there}");
        }
    }

    // `PATH` and `CARGO_PKG_NAME` are set by cargo for every test; no test changes the environment.
    #[test]
    fn a_missing_variable_is_named_with_the_way_out() {
        let error = required("MODLOOP_NO_SUCH", "set it in .env").expect_err("unset");
        assert_eq!(error.to_string(), "environment variable MODLOOP_NO_SUCH is not set; set it in .env");
    }

    #[test]
    fn a_default_serves_when_unset() {
        assert_eq!(parsed("MODLOOP_NO_SUCH", Some(5432u16), "a port"), Ok(5432));
    }

    #[test]
    fn an_unusable_value_is_not_repeated() {
        let error = parsed::<u16>("CARGO_PKG_NAME", None, "a port from 1 to 65535").expect_err("no number");
        assert!(
            error.to_string().contains("CARGO_PKG_NAME") && !error.to_string().contains("modloop"),
            "{error}"
        );
    }
}
