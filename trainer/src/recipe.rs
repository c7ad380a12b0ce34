//! Options that come from elsewhere than the command line: a recipe in TOML, hyperparameters in JSON. Both become
//! arguments, so that there is one list of options, with one set of defaults, checks and explanations.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// Puts the options of each `--recipe FILE` in its place: a later file wins over an earlier one. An option that the
/// command line names too is left out.
pub(crate) fn expand(arguments: Vec<OsString>) -> Result<Vec<OsString>> {
    let mut recipe = Map::new();
    for file in recipes_in(&arguments) {
        recipe.extend(read(&file)?);
    }
    let given: Vec<String> = arguments.iter().filter_map(|a| option_name(a.to_str()?)).collect();
    let taken = recipe.iter().filter(|(name, _)| !given.contains(&dashed(name)));
    let mut options = Vec::new();
    for (name, value) in taken {
        options.extend(arguments_of(name, value).context("in a recipe")?);
    }
    // Behind the name of the program and of the command.
    let (command, rest) = arguments.split_at(arguments.len().min(2));
    Ok([command.to_vec(), options.into_iter().map(OsString::from).collect(), rest.to_vec()].concat())
}

fn read(file: &Path) -> Result<Map<String, Value>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is no TOML", file.display()))
}

fn recipes_in(arguments: &[OsString]) -> Vec<PathBuf> {
    let at = |at: usize| match arguments[at].to_str()? {
        "--recipe" => arguments.get(at + 1).map(PathBuf::from),
        argument => argument.strip_prefix("--recipe=").map(PathBuf::from),
    };
    (0..arguments.len()).filter_map(at).collect()
}

/// `batch-size` of `--batch-size` and `--batch-size=8`.
fn option_name(argument: &str) -> Option<String> {
    let name = argument.strip_prefix("--")?;
    Some(name.split('=').next().unwrap_or(name).to_owned())
}

fn dashed(name: &str) -> String {
    name.replace('_', "-")
}

/// The arguments that say `name = value`: a list repeats the option, a table gives it `KEY=VALUE`, `true` names it.
pub(crate) fn arguments_of(name: &str, value: &Value) -> Result<Vec<String>> {
    let option = format!("--{}", dashed(name));
    Ok(match value {
        Value::Bool(true) => vec![option],
        Value::Bool(false) => Vec::new(),
        Value::Array(values) => {
            let repeated = values.iter().map(|value| Ok(format!("{option}={}", plain(name, value)?)));
            repeated.collect::<Result<_>>()?
        }
        Value::Object(table) => {
            let mut pairs = Vec::new();
            for (key, value) in table {
                let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                for value in values {
                    pairs.push(format!("{option}={key}={}", plain(name, value)?));
                }
            }
            pairs
        }
        value => vec![format!("{option}={}", plain(name, value)?)],
    })
}

fn plain(name: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => bail!("{name}: {other} is neither a text nor a number"),
    }
}

/// What is wrong with arguments, without the usage, which nobody asked for.
pub(crate) fn fault(error: &clap::Error) -> String {
    let text = error.to_string();
    let paragraph: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let fault = paragraph.join(" ");
    fault.strip_prefix("error: ").unwrap_or(&fault).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: &[&str]) -> Result<Vec<String>> {
        let expanded = expand(arguments.iter().map(OsString::from).collect())?;
        Ok(expanded.into_iter().map(|a| a.to_string_lossy().into_owned()).collect())
    }

    fn recipe(text: &str) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("recipe.toml");
        std::fs::write(&path, text).expect("a file");
        let path = path.to_string_lossy().into_owned();
        (dir, path)
    }

    #[test]
    fn a_recipe_becomes_arguments_and_the_command_line_wins() {
        let (_dir, path) = recipe(
            "labels = \"hate,offensive\"\nbatch_size = 48\nlearning_rate = 1e-4\ntemplates = true\n\
             only = [\"a=b\"]\n[limit]\ndavidson = 8000\n[source]\nmhs = 0.5\n",
        );
        let arguments = ["modloop-train", "train", "--recipe", &path, "--source=x=1", "--batch-size", "2"];
        let found = expanded(&arguments).expect("arguments");
        let options = [
            "--labels=hate,offensive",
            "--learning-rate=0.0001",
            "--limit=davidson=8000",
            "--only=a=b",
            "--templates",
        ];
        assert_eq!(found, [&arguments[..2], &options, &arguments[2..]].concat());
    }

    #[test]
    fn a_later_recipe_wins() {
        let (_one, first) = recipe("epochs = 1\nseed = 1\n[limit]\na = 1\n");
        let (_two, second) = recipe("seed = 2\n[limit]\nb = 2\n");
        let found = expanded(&["m", "train", "--recipe", &first, "--recipe", &second]).expect("arguments");
        assert_eq!(found[2..5], ["--epochs=1", "--limit=b=2", "--seed=2"]);
    }

    #[test]
    fn tables_of_lists_repeat_the_option() {
        let value = serde_json::json!({"offensive": ["davidson", "hatexplain"]});
        let found = arguments_of("only", &value).expect("arguments");
        assert_eq!(found, ["--only=offensive=davidson", "--only=offensive=hatexplain"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let (_dir, path) = recipe("epochs = = 2");
        let error = format!("{:#}", expanded(&["m", "train", "--recipe", &path]).expect_err("no TOML"));
        assert!(error.contains("recipe.toml is no TOML"), "{error}");
        let error = expanded(&["m", "train", "--recipe=/nowhere.toml"]).expect_err("no file").to_string();
        assert!(error.contains("/nowhere.toml"), "{error}");
    }
}
