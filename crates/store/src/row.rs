//! Reading columns into the domain's types, and writing hashes into JSON parameters.

use std::fmt::Display;
use std::str::FromStr;

use modloop_domain::ContentHash;
use serde::{Serialize, Serializer};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::StoreError;

/// A column as the type that Postgres gives it in.
pub(crate) fn column<'a, T: FromSql<'a>>(row: &'a Row, name: &str) -> Result<T, StoreError> {
    row.try_get(name).map_err(StoreError::query("reading a row"))
}

/// A text column that holds one of the domain's names or words.
pub(crate) fn parsed<T>(row: &Row, name: &str) -> Result<T, StoreError>
where
    T: FromStr,
    T::Err: Display,
{
    parse(column::<&str>(row, name)?, name)
}

/// The same where the column may be null.
pub(crate) fn parsed_or_none<T>(row: &Row, name: &str) -> Result<Option<T>, StoreError>
where
    T: FromStr,
    T::Err: Display,
{
    column::<Option<&str>>(row, name)?.map(|text| parse(text, name)).transpose()
}

/// A text array that holds the domain's names or words.
pub(crate) fn parsed_list<T>(row: &Row, name: &str) -> Result<Vec<T>, StoreError>
where
    T: FromStr,
    T::Err: Display,
{
    column::<Vec<&str>>(row, name)?.into_iter().map(|text| parse(text, name)).collect()
}

pub(crate) fn parse<T>(text: &str, name: &str) -> Result<T, StoreError>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|e| StoreError::corrupt(format!("a column {name} that cannot be read: {e}")))
}

/// A bigint that counts something.
pub(crate) fn count(row: &Row, name: &str) -> Result<u64, StoreError> {
    column::<i64>(row, name).map(i64::unsigned_abs)
}

/// The column `content_hash`.
pub(crate) fn content_hash(row: &Row) -> Result<ContentHash, StoreError> {
    ContentHash::from_bytes(column(row, "content_hash")?)
        .ok_or_else(|| StoreError::corrupt("a content hash of the wrong length"))
}

/// A jsonb column as a typed document.
pub(crate) fn document<T: serde::de::DeserializeOwned>(row: &Row, name: &str) -> Result<T, StoreError> {
    let json: serde_json::Value = column(row, name)?;
    from_json(json, name)
}

fn from_json<T: serde::de::DeserializeOwned>(json: serde_json::Value, name: &str) -> Result<T, StoreError> {
    serde_json::from_value(json)
        .map_err(|e| StoreError::corrupt(format!("a document {name} that cannot be read: {e}")))
}

/// For `jsonb_to_recordset`: Postgres reads `bytea` from text in this form.
pub(crate) fn as_bytea<S: Serializer>(hash: &ContentHash, serializer: S) -> Result<S::Ok, S::Error> {
    format!("\\x{}", hex::encode(hash.as_bytes())).serialize(serializer)
}
