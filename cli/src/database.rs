//! The database that a command asks, and the form it answers in.

use anyhow::{Context, Result, bail};
use clap::Args;
use modloop_domain::Actor;
use modloop_store::{DatabaseSettings, Store};
use serde::Serialize;

use crate::output::say;
use crate::shipped;
use crate::status::DATABASE_NOTE;

/// Options of every command that asks the database.
#[derive(Debug, Args)]
pub(crate) struct DatabaseArgs {
    /// Postgres to ask, postgres://USER:PASSWORD@HOST/DATABASE; default the one of a running `cargo xtask up`.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Print JSON for programs instead of text.
    #[arg(long)]
    json: bool,
}

impl DatabaseArgs {
    pub(crate) async fn connect(&self) -> Result<Store> {
        let url = match &self.database_url {
            Some(url) => url.clone(),
            None => noted_url()?,
        };
        Ok(Store::connect(&DatabaseSettings::from_url(&url)?).await?)
    }

    /// The JSON that was asked for, or the text.
    pub(crate) fn print(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        if self.json {
            say(&serde_json::to_string_pretty(value).context("cannot write JSON")?)
        } else {
            say(&text())
        }
    }
}

fn noted_url() -> Result<String> {
    let Some(note) = shipped::prepared(DATABASE_NOTE)? else {
        bail!(
            "no database to ask: start `cargo xtask up` and call this from the repository, or set DATABASE_URL"
        )
    };
    let url = std::fs::read_to_string(&note).with_context(|| format!("cannot read {}", note.display()))?;
    Ok(url.trim().to_owned())
}

/// Who stands in the audit log: the user of this machine, which nothing checks.
pub(crate) fn actor() -> Result<Actor> {
    Ok(Actor::local(modloop_environment::optional("USER")?.as_deref().unwrap_or("unknown")))
}
