use std::fmt;

use aws_credential_types::provider::SharedCredentialsProvider;
use serde::Deserialize;

/// Something that must not show. Debug output hides it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// How this client shows who it is. Read from a secret it is `{"username":"…","password":"…"}` or `{"token":"…"}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Login {
    /// HTTP basic authentication.
    Basic {
        /// The account.
        username: String,
        /// Its password.
        password: Secret,
    },
    /// A bearer token.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// AWS signatures (version 4), for a SageMaker tracking server.
    #[serde(skip)]
    Aws(SharedCredentialsProvider),
    /// None.
    #[serde(skip)]
    None,
}

impl Login {
    /// The form in which a secret is read, for whoever stores it.
    pub fn to_secret(&self) -> Option<serde_json::Value> {
        match self {
            Self::Basic { username, password } => {
                Some(serde_json::json!({"username": username, "password": password.reveal()}))
            }
            Self::Bearer { token } => Some(serde_json::json!({"token": token.reveal()})),
            Self::Aws(_) | Self::None => None,
        }
    }

    /// Whether something secret travels with each request.
    pub(crate) fn sends_a_secret(&self) -> bool {
        matches!(self, Self::Basic { .. } | Self::Bearer { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_in_either_form_and_never_shown() {
        let basic: Login = serde_json::from_str(r#"{"username":"me","password":"sesame"}"#).expect("a login");
        assert!(matches!(&basic, Login::Basic { username, .. } if username == "me"));
        assert!(!format!("{basic:?}").contains("sesame"));
        let bearer: Login = serde_json::from_str(r#"{"token":"sesame"}"#).expect("a login");
        assert!(matches!(bearer, Login::Bearer { .. }));
        assert!(!format!("{bearer:?}").contains("sesame"));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        for stored in [r#"{"password":"sesame","username":"me"}"#, r#"{"token":"sesame"}"#] {
            let login: Login = serde_json::from_str(stored).expect("a login");
            assert_eq!(login.to_secret(), serde_json::from_str(stored).ok());
        }
        assert_eq!(Login::None.to_secret(), None);
    }

    #[test]
    fn half_a_login_is_none() {
        for half in [r#"{"username":"me"}"#, r#"{"password":"x"}"#, "{}"] {
            assert!(serde_json::from_str::<Login>(half).is_err(), "{half}");
        }
    }
}
