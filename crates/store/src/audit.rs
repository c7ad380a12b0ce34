//! Who changed what. Entries are only added; the methods that change something write theirs in the same
//! statement.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::row::column;
use crate::{Store, StoreError};

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditEntry {
    /// Counts up.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// What was done, such as `community.add`.
    pub action: String,
    /// To what, such as `r/rust` or `run:7`.
    pub subject: String,
    /// What it was before.
    pub before: Option<Value>,
    /// What it is now.
    pub after: Option<Value>,
}

const ENTRIES: &str = "
    select id, at, actor, action, subject, before, after from audit
    where $1::text is null or subject = $1 order by id desc limit $2";

impl Store {
    /// The latest entries, newest first; with a subject, those about it.
    pub async fn audit(&self, subject: Option<&str>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let parameters = [(&subject as _, Type::TEXT), (&i64::from(limit) as _, Type::INT8)];
        self.rows("reading the audit log", ENTRIES, &parameters).await?.iter().map(entry).collect()
    }
}

fn entry(row: &Row) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        id: column(row, "id")?,
        at: column(row, "at")?,
        actor: column(row, "actor")?,
        action: column(row, "action")?,
        subject: column(row, "subject")?,
        before: column(row, "before")?,
        after: column(row, "after")?,
    })
}
