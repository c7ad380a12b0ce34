use std::fmt;

use reqwest::header::HeaderValue;
use serde::Deserialize;

use crate::LabelerError;

/// The key to the endpoint. A secret `{"api_key": "…"}` deserialises to it. Never shown.
#[derive(Clone, Deserialize)]
pub struct ApiKey {
    api_key: String,
}

impl ApiKey {
    /// Takes the key itself.
    pub fn new(key: impl Into<String>) -> Self {
        Self { api_key: key.into() }
    }

    /// `Authorization: Bearer …`, marked so that no log of headers shows it.
    pub(crate) fn header(&self) -> Result<HeaderValue, LabelerError> {
        let key = self.api_key.trim();
        let header = HeaderValue::try_from(format!("Bearer {key}"));
        let mut header = header.ok().filter(|_| !key.is_empty()).ok_or_else(|| {
            LabelerError::Settings(
                "the API key is empty or holds characters that no key has; check the secret".into(),
            )
        })?;
        header.set_sensitive(true);
        Ok(header)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_never_shown() {
        let key: ApiKey = serde_json::from_str(r#"{"api_key":"sk-hush"}"#).expect("a key");
        let header = key.header().expect("a header");
        assert_eq!(header.as_bytes(), b"Bearer sk-hush");
        assert!(!format!("{key:?} {header:?}").contains("hush"));
    }

    #[test]
    fn an_unusable_key_is_refused_without_being_shown() {
        for key in [" ", "sk-hush\nhost: evil"] {
            let error = ApiKey::new(key).header().expect_err("unusable").to_string();
            assert!(error.contains("API key") && !error.contains("hush"), "{error}");
        }
    }
}
