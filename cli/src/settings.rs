//! `modloop settings`: what operators change while the system runs.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use modloop_operator::Operator;
use modloop_store::settings::SettingVersion;
use serde_json::{Map, Value};

use crate::database::{DatabaseArgs, actor};
use crate::status::ago;
use crate::table::table;

/// Show and change settings, with their history.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    #[command(subcommand)]
    what: SettingsCommand,
}

#[derive(Debug, Subcommand)]
enum SettingsCommand {
    /// Show one document of settings with its history; without a name, list the documents.
    Show {
        /// Such as monitor, gate or budgets.
        name: Option<String>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Change fields of a document. Works with the next invocation, without a deployment.
    #[command(after_help = "\
Examples:
  $ modloop settings set monitor window_hours=12 breaches=3
  $ modloop settings set trials canary.items=2000
  $ modloop settings set labeler model=gpt-4o-mini input_price=0.15 output_price=0.6

A value is JSON, or else a text. A dot leads into a nested field.")]
    Set {
        /// Such as monitor, gate or budgets.
        name: String,
        /// Fields with their new values.
        #[arg(required = true, value_name = "FIELD=VALUE")]
        fields: Vec<String>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Shows or changes.
pub async fn run(args: SettingsArgs) -> Result<()> {
    match args.what {
        SettingsCommand::Show { name: None, database } => {
            let documents = modloop_settings::all();
            database.print(&documents, || {
                let mut table = table(&["settings", "what they are"]);
                for document in &documents {
                    table.add_row([document.name, document.about]);
                }
                format!("{table}\n\nShow one with `modloop settings show NAME`.")
            })
        }
        SettingsCommand::Show { name: Some(name), database } => {
            let store = database.connect().await?;
            let versions = Operator::new(&store, actor()?).settings(&name).await?;
            database.print(&versions, || shown(&versions, Utc::now()))
        }
        SettingsCommand::Set { name, fields, database } => {
            let fields = parse(&fields)?;
            let store = database.connect().await?;
            let saved = Operator::new(&store, actor()?).change_settings(&name, &fields).await?;
            database.print(&saved, || {
                format!("Changed {name}, version {}. It works with the next invocation.", saved.version)
            })
        }
    }
}

fn parse(fields: &[String]) -> Result<Value> {
    let mut document = Map::new();
    for field in fields {
        let (path, text) = field.split_once('=').with_context(|| format!("{field:?} is not FIELD=VALUE"))?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        let mut parts: Vec<&str> = path.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        let mut place = &mut document;
        for part in parts {
            let inner = place.entry(part).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(inner) = inner else { bail!("{path:?} is given twice") };
            place = inner;
        }
        if place.insert(last.to_owned(), value).is_some() {
            bail!("{path:?} is given twice");
        }
    }
    Ok(Value::Object(document))
}

/// The document as it is, then who changed it.
pub fn shown(versions: &[SettingVersion], now: DateTime<Utc>) -> String {
    let Some(latest) = versions.first() else { return String::new() };
    let mut text = format!("{}\n", latest.name);
    for (field, value) in latest.document.as_object().into_iter().flatten() {
        let _ = writeln!(text, "  {field:<22} {value}");
    }
    let mut history = table(&["version", "when", "by"]);
    for version in versions {
        let when = version.changed_at.map_or_else(|| "defaults".to_owned(), |at| ago(now, at));
        history.add_row([version.version.to_string(), when, version.changed_by.clone().unwrap_or_default()]);
    }
    format!("{text}\n{history}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_json_or_text_and_may_be_nested() {
        let fields = ["a=1", "b.c=true", "b.d=text", "e=null"].map(str::to_owned);
        assert_eq!(
            parse(&fields).expect("fields"),
            json!({"a": 1, "b": {"c": true, "d": "text"}, "e": null})
        );
        assert!(parse(&["a".to_owned()]).is_err());
        assert!(parse(&["a=1".to_owned(), "a=2".to_owned()]).is_err());
        assert!(parse(&["a=1".to_owned(), "a.b=2".to_owned()]).is_err());
    }
}
