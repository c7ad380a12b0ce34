//! `modloop communities`: which communities are watched, and their thresholds.

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use modloop_domain::{Community, CommunityThresholds, Label, Probability, Thresholds};
use modloop_operator::Operator;
use modloop_store::communities::CommunityRow;
use serde_json::json;

use crate::database::{DatabaseArgs, actor};
use crate::status::{ago, one_line};
use crate::table::table;

/// Add, list, change and disable the communities that are watched.
#[derive(Debug, Args)]
pub struct CommunitiesArgs {
    #[command(subcommand)]
    what: CommunitiesCommand,
}

#[derive(Debug, Subcommand)]
enum CommunitiesCommand {
    /// Watch communities from now on, with the default thresholds.
    #[command(after_help = "Example:\n  $ modloop communities add r/rust r/askhistorians")]
    Add {
        /// Such as r/rust, rust, or u/name for a profile; case does not matter.
        #[arg(required = true)]
        communities: Vec<Community>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// List communities with their thresholds and how their last fetch went.
    List {
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Change the thresholds of a community, from its next batch on.
    #[command(after_help = "\
Examples:
  $ modloop communities set r/rust --review 0.6
  $ modloop communities set r/rust --label hate --review 0.4 --remove 0.9

An item is reviewed from the first score on, and removed from the second. A label without thresholds of its own has
those of the community. Scores are from 0 to 1.")]
    Set {
        /// Such as r/rust.
        community: Community,
        /// Score from which an item is reviewed.
        #[arg(long, value_name = "SCORE")]
        review: Option<f32>,
        /// Score from which an item is removed.
        #[arg(long, value_name = "SCORE")]
        remove: Option<f32>,
        /// Change the thresholds of this label alone.
        #[arg(long)]
        label: Option<Label>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Stop fetching a community. What was stored stays; `add` fetches it again.
    Disable {
        /// Such as r/rust.
        community: Community,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Does one of them.
pub async fn run(args: CommunitiesArgs) -> Result<()> {
    match args.what {
        CommunitiesCommand::Add { communities, database } => add(&communities, &database).await,
        CommunitiesCommand::List { database } => {
            let communities = database.connect().await?.communities().await?;
            database.print(&communities, || list(&communities, Utc::now()))
        }
        CommunitiesCommand::Set { community, review, remove, label, database } => {
            set(&community, (review, remove), label, &database).await
        }
        CommunitiesCommand::Disable { community, database } => {
            let store = database.connect().await?;
            let changed = Operator::new(&store, actor()?).disable_community(&community).await?;
            database.print(&json!({"community": community, "changed": changed}), || match changed {
                true => format!("{community} is not fetched any more. What was stored stays."),
                false => format!("{community} was disabled before."),
            })
        }
    }
}

async fn add(communities: &[Community], database: &DatabaseArgs) -> Result<()> {
    let store = database.connect().await?;
    let operator = Operator::new(&store, actor()?);
    let mut lines = Vec::new();
    let mut added = Vec::new();
    for community in communities {
        let is_new = operator.add_community(community).await?;
        lines.push(match is_new {
            true => format!("{community} is watched from now on."),
            false => format!("{community} was watched before."),
        });
        added.push(json!({"community": community, "changed": is_new}));
    }
    database.print(&added, || lines.join("\n"))
}

async fn set(
    community: &Community,
    (review, remove): (Option<f32>, Option<f32>),
    label: Option<Label>,
    database: &DatabaseArgs,
) -> Result<()> {
    if review.is_none() && remove.is_none() {
        bail!("nothing to change: say --review SCORE, --remove SCORE, or both");
    }
    let store = database.connect().await?;
    let operator = Operator::new(&store, actor()?);
    let mut thresholds = operator.community(community).await?.thresholds;
    let now = label.as_ref().map_or(thresholds.all, |label| thresholds.of(label));
    let score = |given: Option<f32>, old: Probability| given.map_or(Ok(old), Probability::new);
    let wanted = Thresholds::new(score(review, now.review())?, score(remove, now.remove())?)?;
    match label {
        Some(label) => drop(thresholds.labels.insert(label, wanted)),
        None => thresholds.all = wanted,
    }
    let changed = operator.set_thresholds(community, &thresholds).await?;
    let value = json!({"community": community, "changed": changed, "thresholds": thresholds});
    database.print(&value, || {
        let shown = shown(&thresholds);
        match changed {
            true => format!("{community} now has {shown}."),
            false => format!("{community} had {shown} before."),
        }
    })
}

fn shown(thresholds: &CommunityThresholds) -> String {
    let pair = |t: Thresholds| format!("review {}, remove {}", t.review().get(), t.remove().get());
    let labels = thresholds.labels.iter().map(|(label, t)| format!("; {label}: {}", pair(*t)));
    format!("{}{}", pair(thresholds.all), labels.collect::<String>())
}

/// One line a community.
pub fn list(communities: &[CommunityRow], now: DateTime<Utc>) -> String {
    if communities.is_empty() {
        return "No community is watched yet. Add one with `modloop communities add r/NAME`.".to_owned();
    }
    let mut table = table(&["community", "thresholds", "last fetch", "problem"]);
    for row in communities {
        let fetched = match (row.enabled, row.last_fetched_at) {
            (false, _) => "disabled".to_owned(),
            (true, Some(at)) => ago(now, at),
            (true, None) => "never".to_owned(),
        };
        let problem = row.last_error.as_deref().map(one_line).unwrap_or_default();
        table.add_row([row.community.to_string(), shown(&row.thresholds), fetched, problem]);
    }
    table.to_string()
}
