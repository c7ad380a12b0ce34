//! Secrets that the functions read.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::endpoint::{Endpoint, Json, Refusal};

/// Stores a secret, or its new value where it is there already. Gives its ARN.
pub async fn put_secret(endpoint: &Endpoint, name: &str, value: &Value) -> Result<String> {
    let input = json!({ "Name": name, "SecretString": value.to_string() });
    let answer = match endpoint.call("secretsmanager.CreateSecret", Json::V1_1, input).await {
        Err(error) if exists_already(&error) => {
            let input = json!({ "SecretId": name, "SecretString": value.to_string() });
            endpoint.call("secretsmanager.PutSecretValue", Json::V1_1, input).await?
        }
        other => other?,
    };
    answer["ARN"].as_str().map(str::to_owned).with_context(|| format!("secret {name} has no ARN"))
}

fn exists_already(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.code == "ResourceExistsException")
}
