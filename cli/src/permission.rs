//! `modloop permission`: whether texts may be trained on.

use anyhow::Result;
use clap::{Args, Subcommand};
use modloop_domain::Community;
use modloop_operator::Operator;
use modloop_store::permissions::TrainingPermission;
use serde_json::json;

use crate::database::{DatabaseArgs, actor};
use crate::status::one_line;

/// State that texts may be trained on, or withdraw that statement.
///
/// Reddit's Data API terms bar training on its content without consent. Without a statement drift is measured and
/// labels are counted, and nothing is trained.
#[derive(Debug, Args)]
pub struct PermissionArgs {
    #[command(subcommand)]
    what: PermissionCommand,
}

#[derive(Debug, Subcommand)]
enum PermissionCommand {
    /// Show the statement in force.
    Show {
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// State that texts may be trained on. A later statement takes the place of an earlier one.
    #[command(after_help = "\
Example:
  $ modloop permission grant --community r/rust \"The moderators of r/rust agreed on 2026-11-30, see ticket 12.\"")]
    Grant {
        /// What texts may be used for, and why you may say so.
        statement: String,
        /// Only for these communities; without it, for all.
        #[arg(long = "community", value_name = "COMMUNITY")]
        communities: Vec<Community>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Withdraw the statement. A run that trains stops before its next step.
    Withdraw {
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Does one of them.
pub async fn run(args: PermissionArgs) -> Result<()> {
    match args.what {
        PermissionCommand::Show { database } => {
            let permission = database.connect().await?.training_permission().await?;
            database.print(&permission, || shown(permission.as_ref()))
        }
        PermissionCommand::Grant { statement, communities, database } => {
            let store = database.connect().await?;
            let only = (!communities.is_empty()).then_some(communities.as_slice());
            Operator::new(&store, actor()?).grant_training(&statement, only).await?;
            let permission = store.training_permission().await?;
            database.print(&permission, || shown(permission.as_ref()))
        }
        PermissionCommand::Withdraw { database } => {
            let store = database.connect().await?;
            let withdrawn = Operator::new(&store, actor()?).withdraw_training().await?;
            database.print(&json!({"withdrawn": withdrawn}), || match withdrawn {
                true => "The statement is withdrawn. Nothing is trained any more.".to_owned(),
                false => "There is no statement to withdraw.".to_owned(),
            })
        }
    }
}

fn shown(permission: Option<&TrainingPermission>) -> String {
    let Some(permission) = permission else {
        return "Nobody has stated that texts may be trained on, so nothing is trained.".to_owned();
    };
    let communities = permission.communities.as_ref().map_or_else(
        || "all communities".to_owned(),
        |communities| communities.iter().map(Community::to_string).collect::<Vec<_>>().join(", "),
    );
    format!(
        "Texts of {communities} may be trained on.\n  {} on {}: {}",
        permission.granted_by,
        permission.granted_at.format("%Y-%m-%d"),
        one_line(&permission.statement)
    )
}
