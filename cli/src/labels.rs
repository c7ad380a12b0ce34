//! `modloop labels`: what people say about items.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use modloop_domain::{ItemId, Label};
use modloop_operator::Operator;
use modloop_store::labels::{HumanLabel, Said};
use serde_json::{Map, Value};

use crate::database::{DatabaseArgs, actor};
use crate::status::{ago, one_line};
use crate::table::table;

/// Store what people say about posts and comments.
#[derive(Debug, Args)]
pub struct LabelsArgs {
    #[command(subcommand)]
    what: Option<LabelsCommand>,
    /// Show who said what about this item, such as t1_abc.
    item: Option<ItemId>,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Subcommand)]
enum LabelsCommand {
    /// Store labels of people, which outrank those of an LLM.
    #[command(after_help = AFTER_HELP)]
    Import {
        /// JSON lines, one a post or comment.
        file: PathBuf,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

const AFTER_HELP: &str = "\
Example of a line, with labels of the champion:
  {\"item\":\"t1_abc\",\"hate\":1,\"offensive\":0}

1 or true: the label applies; 0 or false: it does not; null or left out: not known. For Reddit the item is t3_… for a
post and t1_… for a comment. A label holds for the text as it is now. With a line that cannot be read, nothing is stored.
Importing again changes what you said before; what others said stays beside it.";

/// Shows or imports.
pub async fn run(args: LabelsArgs) -> Result<()> {
    match (args.what, args.item) {
        (Some(LabelsCommand::Import { file, database }), _) => import(&file, &database).await,
        (None, Some(item)) => {
            let store = args.database.connect().await?;
            let said = Operator::new(&store, actor()?).labels_of(&item).await?;
            args.database.print(&said, || shown(&item, &said, Utc::now()))
        }
        (None, None) => bail!(
            "name an item, such as `modloop labels t1_abc`, or import labels with `modloop labels import FILE`"
        ),
    }
}

async fn import(file: &Path, database: &DatabaseArgs) -> Result<()> {
    let labels = read(file)?;
    let store = database.connect().await?;
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    let imported = Operator::new(&store, actor()?).import_labels(&name, &labels).await?;
    database.print(&imported, || {
        let mut text = format!("Stored labels of {} items.", imported.items);
        if !imported.unknown.is_empty() {
            let names: Vec<&str> = imported.unknown.iter().take(10).map(ItemId::as_str).collect();
            let more = if imported.unknown.len() > names.len() { ", …" } else { "" };
            text += &format!(
                "\n{} items are not known here or their text is gone: {}{more}",
                imported.unknown.len(),
                names.join(", ")
            );
        }
        text
    })
}

/// Who said what about an item, newest first.
fn shown(item: &ItemId, said: &[Said], now: DateTime<Utc>) -> String {
    if said.is_empty() {
        return format!("Nobody has labeled {item}.");
    }
    let mut table = table(&["label", "value", "who", "when", "text"]);
    for entry in said {
        table.add_row([
            entry.label.to_string(),
            if entry.value { "yes" } else { "no" }.to_owned(),
            one_line(&entry.actor),
            ago(now, entry.at),
            if entry.current { "as it is now" } else { "an earlier one" }.to_owned(),
        ]);
    }
    table.to_string()
}

fn read(path: &Path) -> Result<Vec<HumanLabel>> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let mut labels: BTreeMap<ItemId, HumanLabel> = BTreeMap::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let at = index + 1;
        let line = line.with_context(|| format!("cannot read {name}, line {at}; it must be UTF-8 text"))?;
        let text = line.trim_start_matches('\u{feff}').trim();
        if !text.is_empty() {
            let label = parse(text).with_context(|| format!("{name}, line {at}"))?;
            if labels.insert(label.item.clone(), label).is_some() {
                bail!("{name}, line {at}: the item occurs twice; which of the two is right?");
            }
        }
    }
    Ok(labels.into_values().collect())
}

fn parse(line: &str) -> Result<HumanLabel> {
    let object: Map<String, Value> = serde_json::from_str(line).context("it is not a JSON object")?;
    let item = object.get("item").and_then(Value::as_str).context("it has no \"item\"")?.parse()?;
    let mut values = BTreeMap::new();
    for (name, value) in object.iter().filter(|(name, _)| *name != "item") {
        let value = match value {
            Value::Null => continue,
            Value::Bool(value) => *value,
            Value::Number(number) if number.as_u64() == Some(0) => false,
            Value::Number(number) if number.as_u64() == Some(1) => true,
            _ => bail!("{name:?} is neither 0 nor 1, true, false or null"),
        };
        values.insert(name.parse::<Label>()?, value);
    }
    if values.is_empty() {
        bail!("it has no label");
    }
    Ok(HumanLabel { item, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_named() {
        let label = parse(r#"{"item":"t1_a","hate":1,"offensive":false,"spam":null}"#).expect("a label");
        let values: Vec<_> = label.values.iter().map(|(label, value)| (label.as_str(), *value)).collect();
        assert_eq!(values, [("hate", true), ("offensive", false)]);
        for (line, words) in [
            ("[]", "not a JSON object"),
            (r#"{"hate":1}"#, "item"),
            (r#"{"item":"t9 a","hate":1}"#, "is not an item id"),
            (r#"{"item":"t1_a"}"#, "no label"),
            (r#"{"item":"t1_a","hate":2}"#, "neither 0 nor 1"),
        ] {
            let error = format!("{:#}", parse(line).expect_err(line));
            assert!(error.contains(words), "{error}");
        }
    }
}
