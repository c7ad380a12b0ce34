//! Measures the database at a size that takes months to reach.

mod fill;
mod measure;
mod report;
mod retention;

use std::path::PathBuf;

use anyhow::{Context, Result};
use modloop_store::{DatabaseSettings, Store, migrate};
use tokio_postgres::NoTls;

pub use report::{Fact, Goal, Report};

/// What to fill a database with, and where the figures go.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Items to fill the database with.
    #[arg(long, default_value_t = 12_000_000)]
    pub items: u64,
    /// Predictions to fill the database with; the other items are deleted ones.
    #[arg(long, default_value_t = 10_000_000)]
    pub predictions: u64,
    /// Communities, all of them equally busy.
    #[arg(long, default_value_t = 1000)]
    pub communities: u32,
    /// Days over which the items are spread, at least three weeks.
    #[arg(long, default_value_t = 28, value_parser = clap::value_parser!(u32).range(21..=360))]
    pub days: u32,
    /// Write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Fills the empty database at `url`, measures everything, and prints which goals are met.
pub async fn run(options: &Options, url: &str) -> Result<Report> {
    let settings = DatabaseSettings::from_url(url)?;
    migrate(&settings).await?;
    let client = connect(url).await?;
    fill::fill(&client, options).await?;
    let store = Store::connect(&settings).await?;
    let mut report = Report::new(options, measure::server(&client).await?);
    measure::sizes(&client, &mut report).await?;
    measure::backlog(&store, &mut report).await?;
    measure::monitor(&store, &settings, options, &mut report).await?;
    measure::status(&store, &mut report).await?;
    measure::pages(&client, &mut report).await?;
    retention::measure(&store, url, &mut report).await?;
    report.print();
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(report)
}

/// A connection for statements that only this measurement needs.
async fn connect(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("cannot connect")?;
    // Ends with the client. What goes wrong shows in the next statement.
    tokio::spawn(connection);
    Ok(client)
}
