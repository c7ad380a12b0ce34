//! `bench scale`: the database at a size that takes months to reach.

use anyhow::Result;
use modloop_local::postgres::{Postgres, PostgresFiles};
use modloop_scale::Options;

use crate::layout::Layout;
use crate::report::Stages;
use crate::runs::Scratch;
use crate::setup::Tools;
use crate::stack::postgres_folder;

/// What else `bench` can measure.
#[derive(clap::Subcommand)]
pub(crate) enum Of {
    /// Fill a Postgres of its own with millions of items, and print which goals for growth are met.
    ///
    /// Takes about a quarter of an hour and 20 GB of disk with the numbers that are set; everything is deleted
    /// in the end.
    Scale(Options),
}

/// Starts a server that is thrown away, and measures it.
pub(crate) async fn run(layout: &Layout, options: &Options) -> Result<()> {
    let installation = Tools::new(layout)?.postgres().await?;
    let scratch = Scratch::create(layout, "scale", &std::process::id().to_string())?;
    let files = PostgresFiles {
        installation,
        folder: postgres_folder(scratch.folder()),
        log: scratch.folder().join("postgres.log"),
    };
    let mut stages = Stages::default();
    let postgres = stages.run("start Postgres", Postgres::start(files)).await?.throw_away();
    modloop_scale::run(options, &postgres.url()).await?;
    Ok(())
}
