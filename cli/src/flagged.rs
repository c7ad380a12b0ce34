//! `modloop flagged`: what the model flagged and nobody has judged yet.

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::Args;
use modloop_domain::{Community, SourceName};
use modloop_operator::Operator;
use modloop_store::queue::FlaggedItem;

use crate::database::{DatabaseArgs, actor};
use crate::status::{ago, one_line};
use crate::table::table;

/// List flagged items with scores and links, the most harmful first.
#[derive(Debug, Args)]
pub struct FlaggedArgs {
    /// Only of this community, such as r/rust.
    #[arg(long)]
    community: Option<Community>,
    /// Show at most this many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Prints them once.
pub async fn run(args: FlaggedArgs) -> Result<()> {
    let store = args.database.connect().await?;
    let operator = Operator::new(&store, actor()?);
    let items = operator.flagged(args.community.as_ref(), None, args.limit).await?;
    args.database.print(&items, || list(&items, Utc::now()))
}

/// One line an item. Texts are read at the link, where they are what they are now.
pub fn list(items: &[FlaggedItem], now: DateTime<Utc>) -> String {
    if items.is_empty() {
        return "Nothing is flagged.".to_owned();
    }
    let mut table = table(&["item", "community", "decision", "scores", "posted", "link"]);
    for item in items {
        let scores = item.scores.iter().map(|(label, score)| format!("{label} {:.2}", score.get()));
        table.add_row([
            item.item.to_string(),
            item.community.to_string(),
            item.decision.to_string(),
            scores.collect::<Vec<_>>().join(", "),
            ago(now, item.created_at),
            link(item),
        ]);
    }
    table.to_string()
}

fn link(item: &FlaggedItem) -> String {
    let address = one_line(&item.permalink);
    match *item.community.source() == SourceName::reddit() {
        true => format!("https://www.reddit.com{address}"),
        false => address,
    }
}
