use std::fmt;

use modloop_domain::ModelVersion;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::registry::{VERSION_TAG, version_filter};
use crate::runs::taken_away;
use crate::transport::Payload;
use crate::{Entries, Registry, RegistryError};

/// Names that stand for one version at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alias {
    /// The version in service.
    Champion,
    /// The version that may follow it.
    Challenger,
}

impl Alias {
    /// As MLflow knows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Challenger => "challenger",
        }
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an alias stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasTarget {
    /// MLflow's number of the version.
    pub registry_version: u32,
    /// The bundle's version, from the tag `modloop.version`; none where somebody registered by hand.
    pub version: Option<ModelVersion>,
    /// The run that it came from; none where somebody registered by hand.
    pub run_id: Option<String>,
}

/// What a version is made of.
#[derive(Debug, Clone)]
pub struct VersionParts<'a> {
    /// The bundle's version.
    pub version: &'a ModelVersion,
    /// The run that it came from.
    pub run_id: &'a str,
    /// Where its files lie.
    pub source: &'a str,
    /// For people.
    pub description: &'a str,
    /// More tags; `modloop.version` is added.
    pub tags: &'a Entries,
}

#[derive(Deserialize)]
struct VersionAnswer {
    model_version: FoundVersion,
}

#[derive(Deserialize)]
struct FoundVersions {
    #[serde(default)]
    model_versions: Vec<FoundVersion>,
}

#[derive(Deserialize)]
struct FoundVersion {
    /// A number, written as text.
    version: String,
    #[serde(default)]
    run_id: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

impl FoundVersion {
    fn number(&self) -> Result<u32, RegistryError> {
        self.version.parse().map_err(|_| RegistryError::Malformed {
            call: "model-versions".into(),
            problem: "a version that is no number".into(),
        })
    }
}

impl Registry {
    /// Makes the registered model unless it is there.
    pub async fn ensure_model(&self) -> Result<(), RegistryError> {
        self.retry(|| async {
            let name = self.model_name();
            match self.get::<Value>("registered-models/get", &[("name", name)]).await {
                Err(error) if error.is_missing() => {}
                found => return found.map(drop),
            }
            match self.post::<Value>("registered-models/create", json!({ "name": name })).await {
                // Somebody else was faster.
                Err(error) if error.is_conflict() => Ok(()),
                created => created.map(drop),
            }
        })
        .await
    }

    /// MLflow's number of a version and the run that it came from, when it is registered.
    pub async fn find_version(&self, version: &ModelVersion) -> Result<Option<(u32, String)>, RegistryError> {
        self.retry(|| self.settle_versions(version)).await
    }

    /// Registers a version unless it is there. Gives MLflow's number of it.
    pub async fn register(&self, parts: &VersionParts<'_>) -> Result<u32, RegistryError> {
        self.ensure_model().await?;
        self.retry(|| self.register_once(parts)).await
    }

    async fn register_once(&self, parts: &VersionParts<'_>) -> Result<u32, RegistryError> {
        if let Some((number, _)) = self.settle_versions(parts.version).await? {
            return Ok(number);
        }
        let mut tags = parts.tags.clone();
        tags.tag(VERSION_TAG, parts.version);
        let body = json!({
            "name": self.model_name(), "source": parts.source, "run_id": parts.run_id,
            "description": parts.description, "tags": tags.tags(),
        });
        let created: VersionAnswer = self.post("model-versions/create", body).await?;
        // Looked for once more: another may have been made at the same moment.
        match self.settle_versions(parts.version).await? {
            Some((number, _)) => Ok(number),
            None => created.model_version.number(),
        }
    }

    /// Finds the version. Of several, which a lost answer or a race leaves behind, the first stays.
    async fn settle_versions(&self, version: &ModelVersion) -> Result<Option<(u32, String)>, RegistryError> {
        let filter = format!("name = '{}' and {}", quoted(self.model_name()), version_filter(version));
        let found: FoundVersions = self.get("model-versions/search", &[("filter", &filter)]).await?;
        let numbered = found.model_versions.into_iter().map(|found| Ok((found.number()?, found.run_id)));
        let mut versions = numbered.collect::<Result<Vec<_>, RegistryError>>()?;
        versions.sort();
        let mut versions = versions.into_iter();
        let first = versions.next();
        for (extra, _) in versions {
            let body = json!({ "name": self.model_name(), "version": extra.to_string() });
            taken_away(self.delete("model-versions/delete", body).await)?;
        }
        Ok(first)
    }

    /// Sets a tag of a version.
    pub async fn tag_version(
        &self,
        registry_version: u32,
        key: &str,
        value: &str,
    ) -> Result<(), RegistryError> {
        let mut tags = Entries::default();
        tags.tag(key, value);
        for mut body in tags.tags() {
            body["name"] = self.model_name().into();
            body["version"] = registry_version.to_string().into();
            self.retry(|| self.post::<Value>("model-versions/set-tag", body.clone())).await?;
        }
        Ok(())
    }

    /// Lets an alias stand for a version, whatever it stood for.
    pub async fn set_alias(&self, alias: Alias, registry_version: u32) -> Result<(), RegistryError> {
        let body = json!({
            "name": self.model_name(), "alias": alias.as_str(), "version": registry_version.to_string(),
        });
        self.retry(|| self.post::<Value>("registered-models/alias", body.clone())).await?;
        Ok(())
    }

    /// What an alias stands for; nothing when it is not set or the model is not there.
    pub async fn alias(&self, alias: Alias) -> Result<Option<AliasTarget>, RegistryError> {
        let query = [("name", self.model_name()), ("alias", alias.as_str())];
        let found = self.retry(|| self.get::<VersionAnswer>("registered-models/alias", &query)).await;
        let found = match found {
            Ok(found) => found.model_version,
            Err(error) if is_unset(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let version = found.tags.iter().find(|tag| tag.key == VERSION_TAG);
        Ok(Some(AliasTarget {
            registry_version: found.number()?,
            version: version.and_then(|tag| tag.value.parse().ok()),
            run_id: Some(found.run_id).filter(|id| !id.is_empty()),
        }))
    }

    /// Takes an alias away; one that is not set is no error.
    pub async fn delete_alias(&self, alias: Alias) -> Result<(), RegistryError> {
        let body = json!({ "name": self.model_name(), "alias": alias.as_str() });
        match self.retry(|| self.delete("registered-models/alias", body.clone())).await {
            Err(error) if is_unset(&error) => Ok(()),
            other => other,
        }
    }

    async fn delete(&self, path: &str, body: Value) -> Result<(), RegistryError> {
        self.transport.call::<Value>(Method::DELETE, path, Payload::Json(body)).await.map(drop)
    }
}

/// MLflow calls an alias that nobody set an invalid parameter, not a missing thing.
fn is_unset(error: &RegistryError) -> bool {
    error.is_missing()
        || matches!(error, RegistryError::Refused { code, message, .. }
            if code == "INVALID_PARAMETER_VALUE" && message.contains("not found"))
}

/// MLflow's language for searches has no escape for quotes.
fn quoted(name: &str) -> String {
    name.replace('\'', "_")
}
