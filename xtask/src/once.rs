//! `up --once`: one pass over the stand-in's feed in a fresh database, and on to a better model.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chrono::Utc;
use modloop_local::deploy::Function;
use modloop_local::reddit::{Faults, Handle, Options};
use modloop_registry::Alias;
use modloop_store::status::Totals;
use serde_json::json;

use crate::faults;
use crate::layout::Layout;
use crate::report::{Decisions, Items, Registry, Report, Stages};
use crate::retrain::{self, Retrain, Scenario};
use crate::runs::Scratch;
use crate::settings::Settings;
use crate::setup::Tools;
use crate::stack::{Clock, RedditSource, Stack};

/// Decides what the communities of the feed write.
pub(crate) const SEED: u64 = 7;
/// After this long fetch gives up on an answer of Reddit: the default of crates/reddit.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// How often fetch may run until it has read the whole feed: faults and the rate budget cut passes short.
const MAX_FETCHES: u32 = 30;
/// Without a newly scored item for so long, fetch runs again, as the clock would make it.
const STALL: Duration = Duration::from_secs(45);
/// A pass that takes longer has failed.
const MAX_TIME: Duration = Duration::from_secs(15 * 60);

/// What `up --once` was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Once {
    pub kind: Kind,
    pub report: Option<PathBuf>,
}

/// What happens in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Things break while items are fetched and scored.
    Faults,
    /// The language shifts, and the loop closes.
    Loop(Scenario),
}

/// Runs the pass and judges it. Its logs are kept when it failed.
pub(crate) async fn run(layout: &Layout, once: Once) -> Result<()> {
    let started = Utc::now().format("%Y%m%d-%H%M%S");
    let scratch = Scratch::create(layout, "once", &format!("{started}-{}", std::process::id()))?;
    let outcome = pass(layout, &once, scratch.folder()).await;
    // It may have failed before there were any.
    if outcome.is_err()
        && let Ok(logs) = scratch.keep_logs(layout)
    {
        eprintln!("  logs are kept in {}", logs.display());
    }
    outcome
}

async fn pass(layout: &Layout, once: &Once, folder: &Path) -> Result<()> {
    let mut stages = Stages::default();
    let tools = Tools::new(layout)?;
    let feed = Options::all_at_once(SEED);
    let (feed, trainer) = match once.kind {
        Kind::Faults => (feed.with_faults(Faults::outlasting(SEED, FETCH_TIMEOUT)), None),
        Kind::Loop(_) => (feed, Some(tools.trainer().await?)),
    };
    // Its own database and the stand-in, whatever the person's settings: a pass must be repeatable.
    let mut stack = Stack::start(
        layout,
        &tools,
        Settings::default(),
        folder.to_owned(),
        feed,
        Clock::Stopped,
        &mut stages,
    )
    .await?;
    if let Some(trainer) = trainer {
        let sources = stack.trainer_sources(layout, trainer);
        stages.run("build the trainer", stack.jobs.build_trainer(sources)).await?;
        stages.run("fetch", fetch_all(&stack)).await?;
    } else {
        let both = async { tokio::try_join!(fetch_all(&stack), faults::break_things(&stack)) };
        stages.run("fetch, while things break", both).await?;
    }
    stages.run("score", score_all(&stack)).await?;
    let drift = stages.run("monitor", monitor(&stack)).await?;
    if once.kind == Kind::Faults {
        stages.run("find the poison", faults::poison_is_dead_lettered(&stack)).await?;
    }
    stages.run("register the champion", first_champion(&mut stack)).await?;
    let retrain = match once.kind {
        Kind::Faults => None,
        Kind::Loop(scenario) => Some(retrain::close_the_loop(&stack, scenario, &mut stages).await?),
    };
    let registered = champion(&mut stack).await;
    let report = report(&stack, drift, retrain, registered, stages).await?;
    finish(&report, once)
}

/// Waits for the shipped champion's registration. The loop does without MLflow.
async fn first_champion(stack: &mut Stack) -> Result<()> {
    if let Err(error) = stack.registry.ready().await {
        eprintln!("  {error:#}");
    }
    Ok(())
}

/// What MLflow knows of the champion.
async fn champion(stack: &mut Stack) -> Option<Registry> {
    let url = stack.registry.url().to_owned();
    let asked = async {
        let registry = stack.registry.ready().await?;
        let champion = registry.alias(Alias::Champion).await?.context("MLflow has no champion")?;
        Ok::<_, anyhow::Error>(Registry { version: champion.registry_version, url })
    };
    asked.await.inspect_err(|error| eprintln!("  MLflow cannot be asked: {error:#}")).ok()
}

fn finish(report: &Report, once: &Once) -> Result<()> {
    print!("{report}");
    if let Some(file) = &once.report {
        report.write(file)?;
        println!("Report  {}", file.display());
    }
    match report.verdict(u64::from(once.kind == Kind::Faults)) {
        Ok(()) => Ok(()),
        Err(wrong) => bail!("the pass failed: {wrong}"),
    }
}

/// Runs fetch until the stand-in's whole feed is stored.
pub(crate) async fn fetch_all(stack: &Stack) -> Result<()> {
    let expected = stand_in(stack)?.expected_items().len() as u64;
    let mut stored = 0;
    for _ in 0..MAX_FETCHES {
        fetch_once(stack).await;
        stored = totals(stack).await?.stored;
        if stored >= expected {
            return Ok(());
        }
    }
    // The report says how many are missing.
    eprintln!("  fetch stored {stored} of {expected} items in {MAX_FETCHES} runs");
    Ok(())
}

/// One run of fetch. A failed one is told and no more: the clock would run it again, as our callers do.
pub(crate) async fn fetch_once(stack: &Stack) {
    if let Err(error) = stack.invoke(Function::Fetch, json!({})).await {
        eprintln!("  a run of fetch failed, as it may: {error:#}");
    }
}

/// Waits until every item is scored; runs fetch where nothing moves, so that lost messages are sent again.
pub(crate) async fn score_all(stack: &Stack) -> Result<()> {
    let begun = Instant::now();
    let mut last = (Totals::default().scored, Instant::now());
    loop {
        let totals = totals(stack).await?;
        if totals.waiting == 0 {
            return Ok(());
        }
        if totals.scored != last.0 {
            last = (totals.scored, Instant::now());
        }
        if begun.elapsed() > MAX_TIME {
            // The report says how many are missing.
            return Ok(());
        }
        if last.1.elapsed() > STALL {
            fetch_once(stack).await;
            last.1 = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Counts over the whole database. Asked twice, since Postgres may be restarted under the first question.
pub(crate) async fn totals(stack: &Stack) -> Result<Totals> {
    match stack.session().await?.totals().await {
        Err(error) if error.is_retryable() => Ok(stack.session().await?.totals().await?),
        totals => Ok(totals?),
    }
}

/// The worst verdict over all communities.
async fn monitor(stack: &Stack) -> Result<String> {
    // By itself it would look at the last whole day; everything here happened just now.
    let window = json!({"window_end": Utc::now(), "window_hours": 1});
    let answer = stack.invoke(Function::Monitor, window).await?.payload;
    answer["verdict"]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("monitor gave no verdict: {answer}"))
}

async fn report(
    stack: &Stack,
    drift: String,
    retrain: Option<Retrain>,
    registry: Option<Registry>,
    stages: Stages,
) -> Result<Report> {
    let totals = totals(stack).await?;
    let model = stack.session().await?.status().await?.model.context("no model has scored anything")?;
    let shown = stand_in(stack)?.expected_items().len() as u64;
    let dead_letters = stack.dead_letters().await?.depth().await?;
    Ok(Report {
        items: Items {
            fetched: shown,
            stored: totals.stored,
            scored: totals.scored,
            lost: shown.saturating_sub(totals.scored + totals.scrubbed),
            scored_twice: totals.duplicates,
            dead_lettered: dead_letters.waiting + dead_letters.in_flight,
        },
        model: model.version.to_string(),
        decisions: Decisions {
            allow: totals.decisions.allow,
            review: totals.decisions.review,
            remove: totals.decisions.remove,
        },
        drift,
        retrain,
        registry,
        stages: stages.into_vec(),
        stand_ins: stack.stand_ins(),
    })
}

pub(crate) fn stand_in(stack: &Stack) -> Result<&Handle> {
    match &stack.reddit {
        RedditSource::StandIn(stand_in) => Ok(stand_in),
        RedditSource::Real(_) => bail!("a pass needs the stand-in, whose feed is known"),
    }
}
