use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use serde::de::DeserializeOwned;

use crate::CloudError;

/// Reads a secret that holds JSON, such as `{"username":"…","password":"…"}`.
///
/// # Errors
/// Name the secret and never what is in it.
pub async fn secret<T: DeserializeOwned>(config: &SdkConfig, id: &str) -> Result<T, CloudError> {
    let what = || format!("secret {id}");
    let answer = Client::new(config)
        .get_secret_value()
        .secret_id(id)
        .send()
        .await
        .map_err(|e| CloudError::from_sdk(what(), e))?;
    let text = answer.secret_string().ok_or_else(|| CloudError::Unexpected {
        what: what(),
        reason: "it is binary; store it as a JSON text".into(),
    })?;
    // serde's message could quote the value, so only its place is passed on.
    serde_json::from_str(text).map_err(|e| CloudError::Unexpected {
        what: what(),
        reason: format!("not the JSON object that is needed (line {}, column {})", e.line(), e.column()),
    })
}
