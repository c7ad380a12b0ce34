//! `modloop models`: which models there are, and switching them by hand.

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use modloop_domain::ModelVersion;
use modloop_operator::Operator;
use modloop_store::models::{KnownModel, Switch};
use serde_json::json;

use crate::database::{DatabaseArgs, actor};
use crate::status::{ago, one_line};
use crate::table::table;

/// List models, and switch them by hand.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    #[command(subcommand)]
    what: ModelsCommand,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// List every known model with its role, and the latest switches.
    List {
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Make a model the champion, within one batch; no gate and no trial are asked.
    Promote {
        /// Version, as `modloop models list` shows it.
        version: ModelVersion,
        /// Why; `modloop models list` shows it with your user name.
        #[arg(long, default_value = "by hand")]
        reason: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Withdraw the model on trial; with none on trial, go back to the champion before, within one batch.
    #[command(
        after_help = "Each further roll-back undoes the promotion before; a model that was left is not returned to until somebody promotes it."
    )]
    Rollback {
        /// Why; `modloop models list` shows it with your user name.
        #[arg(long, default_value = "by hand")]
        reason: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Lists or switches.
pub async fn run(args: ModelsArgs) -> Result<()> {
    match args.what {
        ModelsCommand::List { database } => {
            let store = database.connect().await?;
            let (models, switches) = (store.known_models().await?, store.switches(10).await?);
            database.print(&json!({"models": models, "switches": switches}), || {
                list(&models, &switches, Utc::now())
            })
        }
        ModelsCommand::Promote { version, reason, database } => {
            let store = database.connect().await?;
            let before = Operator::new(&store, actor()?).promote(&version, &reason).await?;
            database.print(&json!({"champion": version, "before": before}), || match &before {
                Some(before) => format!("{version} is the champion now, instead of {before}."),
                None => format!("{version} is the champion now."),
            })
        }
        ModelsCommand::Rollback { reason, database } => {
            let store = database.connect().await?;
            let (left, champion) = Operator::new(&store, actor()?).roll_back(&reason).await?;
            database.print(&json!({"champion": champion, "left": left}), || {
                format!("{left} is out of service; {champion} is the champion.")
            })
        }
    }
}

fn maker(model: &KnownModel) -> String {
    match (model.run_id, &model.bundle_uri) {
        (Some(run), _) => format!("run {run}"),
        (None, Some(_)) => "hand".to_owned(),
        (None, None) => "release".to_owned(),
    }
}

/// Models, then switches.
pub fn list(models: &[KnownModel], switches: &[Switch], now: DateTime<Utc>) -> String {
    let mut known = table(&["model", "role", "share", "made by", "first seen"]);
    for model in models {
        known.add_row([
            model.version.to_string(),
            model.role.clone().unwrap_or_default(),
            model.share.map(|share| format!("{share:.2}")).unwrap_or_default(),
            maker(model),
            ago(now, model.registered_at),
        ]);
    }
    if switches.is_empty() {
        return known.to_string();
    }
    let mut switched = table(&["switch", "when", "by", "champion", "reason"]);
    for switch in switches {
        let champion = switch.to_version.as_ref().map(ToString::to_string).unwrap_or_default();
        let reason: String = one_line(&switch.reason).chars().take(60).collect();
        switched.add_row([
            json!(switch.action).as_str().unwrap_or_default().to_owned(),
            ago(now, switch.at),
            switch.actor.clone(),
            champion,
            reason,
        ]);
    }
    format!("{known}\n\n{switched}")
}
