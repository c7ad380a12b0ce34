//! `up`: the system runs by the clock until Ctrl-C, with a live status.

use std::fs;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use chrono::Utc;
use modloop_cli::status::render;
use modloop_local::claim::Claim;
use modloop_local::postgres::Postgres;
use modloop_local::processes::stop_requested;
use modloop_local::reddit::Options;

use crate::layout::Layout;
use crate::once;
use crate::report::Stages;
use crate::settings::Settings;
use crate::setup::Tools;
use crate::stack::{Clock, RedditSource, Stack, postgres_folder};
use crate::watch::Changes;

/// How often the status is drawn on a terminal, and how often it is printed elsewhere.
const ON_TERMINAL: Duration = Duration::from_secs(2);
const ELSEWHERE: Duration = Duration::from_secs(30);

/// Time between two items of the stand-in's feed.
const ARRIVAL: Duration = Duration::from_secs(1);

/// How to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Up {
    /// Rebuild and redeploy after changes of source.
    pub(crate) watch: bool,
    /// Begin with an empty database.
    pub(crate) fresh: bool,
}

/// Starts everything and shows the status until a person stops it.
pub(crate) async fn run(layout: &Layout, up: Up) -> Result<()> {
    tokio::select! {
        outcome = start_and_show(layout, up) => outcome,
        asked = stop_requested() => {
            asked?;
            eprintln!("\nStopped. The data stays in {}.", layout.run("up").display());
            Ok(())
        }
    }
}

async fn start_and_show(layout: &Layout, up: Up) -> Result<()> {
    let begun = Instant::now();
    let settings = Settings::read(&layout.root)?;
    let tools = Tools::new(layout)?;
    let trainer = tools.trainer().await?;
    let folder = layout.run("up");
    // Held to the end, so that a second `up` cannot start on the same data.
    let claim = Claim::take(&folder)?;
    if up.fresh {
        ensure!(
            settings.database_url.is_none(),
            "--fresh empties the database that `up` starts, and DATABASE_URL names another one: leave out one of both"
        );
        claim.empty().with_context(|| format!("cannot empty {}", folder.display()))?;
        Postgres::sweep(&postgres_folder(&folder))?;
    }
    let mut stages = Stages::default();
    // At the address of the last start, what is deployed still fits.
    let (port_note, shift_note) = (Some(folder.join("reddit-port")), Some(folder.join("reddit-shift")));
    let feed = Options { port_note, shift_note, ..Options::live(once::SEED, ARRIVAL) };
    let mut stack = Stack::start(layout, &tools, settings, folder, feed, Clock::Runs, &mut stages).await?;
    note_database(layout, stack.database.url())?;
    // Nothing is trained in the first minutes.
    stack.jobs.build_trainer_in_background(stack.trainer_sources(layout, trainer));
    // The clock's first tick is a minute away; nobody wants to wait for it.
    stages
        .run("fetch for the first time", async {
            once::fetch_once(&stack).await;
            Ok(())
        })
        .await?;
    eprintln!("  up after {:.0} s\n", begun.elapsed().as_secs_f64());
    let changes = if up.watch { Some(Changes::watch(&layout.root)?) } else { None };
    show(layout, &mut stack, changes).await
}

/// Draws the status again and again; redeploys after changes of source.
async fn show(layout: &Layout, stack: &mut Stack, mut changes: Option<Changes>) -> Result<()> {
    let terminal = std::io::stdout().is_terminal();
    let period = if terminal { ON_TERMINAL } else { ELSEWHERE };
    loop {
        if let Some(ended) = stack.ended()? {
            bail!("{ended} stopped by itself; its log is in {}", stack.logs().display());
        }
        draw(&screen(layout, stack).await, terminal)?;
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            changed = next_change(&mut changes) => redeploy(stack, &changed?).await,
        }
    }
}

async fn next_change(changes: &mut Option<Changes>) -> Result<String> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

async fn redeploy(stack: &Stack, changed: &str) {
    let begun = Instant::now();
    eprintln!("{changed} changed: building and deploying …");
    match stack.redeploy().await {
        Ok(()) => eprintln!("deployed after {:.0} s", begun.elapsed().as_secs_f64()),
        // A broken edit must not end the session: what ran goes on running.
        Err(error) => eprintln!("not deployed, what ran goes on running: {error:#}"),
    }
}

async fn screen(layout: &Layout, stack: &mut Stack) -> String {
    let status = async { Ok::<_, anyhow::Error>(stack.session().await?.status().await?) };
    let body = match status.await {
        Ok(status) => render(&status, Utc::now(), std::io::stdout().is_terminal()),
        Err(error) => format!("The database does not answer: {error:#}\n"),
    };
    let reddit = match &stack.reddit {
        RedditSource::StandIn(stand_in) => format!("stand-in with a synthetic feed at {}", stand_in.url()),
        RedditSource::Real(_) => "the real one".to_owned(),
    };
    format!(
        "{body}\nReddit    {reddit}\nMLflow    {}\nTraining  {}\nDatabase  psql \"$(cat {})\"\nCommands  cargo run --quiet --package modloop-cli -- status\nAWS       AWS_ENDPOINT_URL={}\nLogs      {}\n\nCtrl-C stops everything; the data stays.\n",
        stack.registry.line().await,
        stack.jobs.line(),
        database_note(layout).display(),
        stack.cloud.endpoint().url(),
        stack.logs().display(),
    )
}

fn draw(screen: &str, terminal: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if terminal {
        // Home, then clear what is below: no flicker of an empty screen.
        write!(out, "\x1b[H\x1b[J")?;
    } else {
        writeln!(out, "--- {}", Utc::now().format("%H:%M:%S"))?;
    }
    write!(out, "{screen}")?;
    out.flush().context("cannot write to standard output")
}

/// Where `modloop status` looks for the address of the database.
fn database_note(layout: &Layout) -> PathBuf {
    layout.home.join(modloop_cli::status::DATABASE_NOTE)
}

/// For `modloop status`. The address holds a password, so only its owner may read it.
fn note_database(layout: &Layout, url: &str) -> Result<()> {
    let file = database_note(layout);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut note = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file)?;
    writeln!(note, "{url}").with_context(|| format!("cannot write {}", file.display()))
}
