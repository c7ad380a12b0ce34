//! `modloop labels`: what people say about items.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use modloop_domain::{Fullname, Label};
use modloop_store::HumanLabel;
use serde_json::{Map, Value};

use crate::database::{DatabaseArgs, operator};

/// Store what people say about posts and comments.
#[derive(Debug, Args)]
pub struct LabelsArgs {
    #[command(subcommand)]
    what: LabelsCommand,
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
  {\"fullname\":\"t1_abc\",\"hate\":1,\"offensive\":0}

1 or true: the label applies; 0 or false: it does not; null or left out: not known. The fullname is Reddit's: t3_… for a
post, t1_… for a comment. A label holds for the text as it is now. With a line that cannot be read, nothing is stored.
Importing again replaces what people said before.";

/// Imports a file; nothing is stored when a line cannot be read.
pub async fn run(args: LabelsArgs) -> Result<()> {
    let LabelsCommand::Import { file, database } = args.what;
    let labels = read(&file)?;
    let store = database.connect().await?;
    let known: BTreeSet<Label> = match store.champion().await? {
        Some(champion) => store.model_labels(&champion).await?.into_iter().collect(),
        None => {
            bail!("no model is known yet, so nobody can say which labels there are; start inference once")
        }
    };
    let strange = labels.iter().flat_map(|label| label.values.keys()).find(|label| !known.contains(*label));
    if let Some(strange) = strange {
        let known: Vec<&str> = known.iter().map(Label::as_str).collect();
        bail!("the champion has no label {strange}; it has {}", known.join(", "));
    }
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    let imported = store.import_labels(&format!("{name}, imported by {}", operator()?), &labels).await?;
    database.print(&imported, || {
        let mut text = format!("labels of {} items are stored", imported.items);
        if !imported.unknown.is_empty() {
            let names: Vec<&str> = imported.unknown.iter().take(10).map(Fullname::as_str).collect();
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

fn read(path: &Path) -> Result<Vec<HumanLabel>> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let mut labels: BTreeMap<Fullname, HumanLabel> = BTreeMap::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let at = index + 1;
        let line = line.with_context(|| format!("cannot read {name}, line {at}; it must be UTF-8 text"))?;
        let text = line.trim_start_matches('\u{feff}').trim();
        if !text.is_empty() {
            let label = parse(text).with_context(|| format!("{name}, line {at}"))?;
            if labels.insert(label.fullname.clone(), label).is_some() {
                bail!("{name}, line {at}: the item occurs twice; which of the two is right?");
            }
        }
    }
    Ok(labels.into_values().collect())
}

fn parse(line: &str) -> Result<HumanLabel> {
    let object: Map<String, Value> = serde_json::from_str(line).context("it is no JSON object")?;
    let fullname =
        object.get("fullname").and_then(Value::as_str).context("it has no \"fullname\"")?.parse()?;
    let mut values = BTreeMap::new();
    for (name, value) in object.iter().filter(|(name, _)| *name != "fullname") {
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
    Ok(HumanLabel { fullname, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_named() {
        let label = parse(r#"{"fullname":"t1_a","hate":1,"offensive":false,"spam":null}"#).expect("a label");
        let values: Vec<_> = label.values.iter().map(|(label, value)| (label.as_str(), *value)).collect();
        assert_eq!(values, [("hate", true), ("offensive", false)]);
        for (line, words) in [
            ("[]", "no JSON object"),
            (r#"{"hate":1}"#, "fullname"),
            (r#"{"fullname":"t9_a","hate":1}"#, "no Reddit fullname"),
            (r#"{"fullname":"t1_a"}"#, "no label"),
            (r#"{"fullname":"t1_a","hate":2}"#, "neither 0 nor 1"),
        ] {
            let error = format!("{:#}", parse(line).expect_err(line));
            assert!(error.contains(words), "{error}");
        }
    }
}
