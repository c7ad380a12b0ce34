//! What operators change while the system runs. Documents are only added: the latest version counts, the
//! others are its history.

use chrono::{DateTime, Utc};
use modloop_domain::Actor;
use modloop_settings::{Document, SettingsError};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::row::column;
use crate::{Store, StoreError};

/// One version of a document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingVersion {
    /// The document's name.
    pub name: String,
    /// Counts up from 1; 0 stands for the defaults, which nobody has changed.
    pub version: i32,
    /// What was stored, completed with defaults.
    pub document: Value,
    /// When.
    pub changed_at: Option<DateTime<Utc>>,
    /// By whom.
    pub changed_by: Option<String>,
}

/// Why settings are not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The document is refused.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Somebody else changed it at the same time.
    #[error("somebody else changed the settings {0} at the same time; look at them and try again")]
    ChangedMeanwhile(String),
}

const LATEST: &str = "select document from settings where name = $1 order by version desc limit 1";

const HISTORY: &str = "
    select name, version, document, changed_at, changed_by from settings where name = $1 order by version desc";

/// $3 the version that was seen, 0 for none. The primary key lets one of two changes through.
const SAVE: &str = "
    with before as (
        select document from settings where name = $1 and version = $3
    ), saved as (
        insert into settings (name, version, document, changed_by)
        select $1, $3 + 1, $2, $4
        where $3 = coalesce((select max(version) from settings where name = $1), 0)
        on conflict do nothing returning document
    )
    insert into audit (actor, action, subject, before, after)
    select $4, 'setting.change', 'setting:' || $1, (select document from before), document from saved";

impl Store {
    /// A document as it is now; what was never changed has its defaults.
    pub async fn settings<T: Document>(&self) -> Result<T, StoreError> {
        modloop_settings::read(&self.stored_settings(T::NAME).await?).map_err(unreadable)
    }

    /// Whether this release can read a document as it is now.
    ///
    /// # Errors
    /// Names the field that it cannot read, or the document that does not exist.
    pub async fn check_settings(&self, name: &str) -> Result<(), StoreError> {
        modloop_settings::complete(name, &self.stored_settings(name).await?).map(drop).map_err(unreadable)
    }

    async fn stored_settings(&self, name: &str) -> Result<Value, StoreError> {
        let row = self.row_or_none("reading settings", LATEST, &[(&name as _, Type::TEXT)]).await?;
        row.as_ref().map_or_else(|| Ok(json!({})), |row| column(row, "document"))
    }

    /// All versions of a document, the newest first; the last one is the defaults.
    pub async fn settings_history(&self, name: &str) -> Result<Vec<SettingVersion>, ChangeError> {
        let defaults = modloop_settings::complete(name, &json!({}))?;
        let rows = self.rows("reading the history of settings", HISTORY, &[(&name as _, Type::TEXT)]).await?;
        let mut versions: Vec<SettingVersion> = rows.iter().map(version).collect::<Result<_, _>>()?;
        versions.push(SettingVersion {
            name: name.to_owned(),
            version: 0,
            document: defaults,
            changed_at: None,
            changed_by: None,
        });
        Ok(versions)
    }

    /// Changes fields of a document; the others stay as they are. Works with the next invocation. Returns the
    /// new version. Must not be repeated by itself.
    pub async fn change_settings(
        &self,
        actor: &Actor,
        name: &str,
        fields: &Value,
    ) -> Result<SettingVersion, ChangeError> {
        let now = self.settings_history(name).await?;
        // The history always ends with the defaults.
        let Some(now) = now.into_iter().next() else {
            return Err(ChangeError::ChangedMeanwhile(name.into()));
        };
        let document = modloop_settings::complete(name, &merged(&now.document, fields))?;
        let parameters = [
            (&name as _, Type::TEXT),
            (&document as _, Type::JSONB),
            (&now.version as _, Type::INT4),
            (&actor.as_str() as _, Type::TEXT),
        ];
        match self.change("changing settings", SAVE, &parameters).await? {
            0 => Err(ChangeError::ChangedMeanwhile(name.to_owned())),
            _ => Ok(SettingVersion {
                name: name.to_owned(),
                version: now.version + 1,
                document,
                changed_at: Some(Utc::now()),
                changed_by: Some(actor.to_string()),
            }),
        }
    }
}

fn unreadable(error: SettingsError) -> StoreError {
    StoreError::corrupt(format!("settings that this release cannot read: {error}"))
}

/// RFC 7396: objects are merged field by field, everything else is replaced.
fn merged(into: &Value, fields: &Value) -> Value {
    let (Value::Object(into), Value::Object(fields)) = (into, fields) else { return fields.clone() };
    let mut merged_fields = into.clone();
    for (name, value) in fields {
        let value = match (merged_fields.get(name), value) {
            (Some(old @ Value::Object(_)), new @ Value::Object(_)) => merged(old, new),
            (_, new) => new.clone(),
        };
        merged_fields.insert(name.clone(), value);
    }
    Value::Object(merged_fields)
}

fn version(row: &Row) -> Result<SettingVersion, StoreError> {
    Ok(SettingVersion {
        name: column(row, "name")?,
        version: column(row, "version")?,
        document: column(row, "document")?,
        changed_at: column(row, "changed_at")?,
        changed_by: column(row, "changed_by")?,
    })
}
