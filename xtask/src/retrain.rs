//! `up --once`, second half: a community changes how it talks, and the system mends itself without a person.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use modloop_domain::{ItemId, ModelVersion, RunState};
use modloop_local::deploy::Function;
use modloop_local::functions::kill_processes_of;
use modloop_local::reddit::{FeedItem, Intent, Language};
use modloop_store::runs::Run;
use serde::Serialize;
use serde_json::{Value, json};

use crate::once::{fetch_all, score_all, stand_in};
use crate::report::Stages;
use crate::retraining::Labelers;
use crate::stack::Stack;

/// What happens to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// All goes well.
    Mended,
    /// The labeler answers the contrary.
    WrongLabels,
    /// The challenger's bundle is spoilt while it decides for a part of the items.
    BadCanary,
}

/// Items that are posted after the shift, before anybody looks.
const SHIFTED: u64 = 960;
/// And in each step while the challenger is on trial.
const ON_TRIAL: u64 = 120;
/// The monitor's shortest window is a little more than a minute.
const MIN_WINDOW: TimeDelta = TimeDelta::seconds(75);
/// It takes windows that end a little in the future, for clocks differ.
const FUTURE_ALLOWED: TimeDelta = TimeDelta::seconds(50);
/// Windows that the monitor may look at until it has made up its mind.
const MAX_WINDOWS: i32 = 5;
/// A run that takes longer has failed.
const MAX_TIME: Duration = Duration::from_secs(15 * 60);
const POLL: Duration = Duration::from_secs(1);

/// What retraining did: the part of the report that shows whether it was worth it.
#[derive(Debug, Serialize)]
pub(crate) struct Retrain {
    /// Number of the run; `modloop runs show` tells its story.
    pub run: i64,
    /// How it ended.
    pub state: RunState,
    /// Why, where it did not end as champion.
    pub reason: Option<String>,
    /// Texts with labels.
    pub labels: u64,
    /// Dollars, at the labeler's prices.
    pub cost: f64,
    /// How long the job trained.
    pub job_seconds: i32,
    /// `promote` or `refuse`.
    pub gate: String,
    /// The challenger.
    pub version: String,
    /// Its number in MLflow.
    pub registry_version: Option<String>,
    /// Share of the coded insults that the champion flags, before and after. Both models scored the same items, which
    /// neither had seen: those that were posted while the challenger was on trial.
    pub recall_before: Option<f64>,
    pub recall_after: Option<f64>,
    /// Share of the usual talk that is judged right: open insults flagged, the rest not. Of the same items.
    pub ordinary_before: Option<f64>,
    pub ordinary_after: Option<f64>,
    /// Share of the harmless uses of words of the code that are left alone. Of the same items.
    pub innocent_before: Option<f64>,
    pub innocent_after: Option<f64>,
}

impl fmt::Display for Retrain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, state, labels, cost, job_seconds, gate, version, .. } = self;
        writeln!(f, "Retrain run {run} ended as {state}: {version}, gate {gate}")?;
        if let Some(reason) = &self.reason {
            writeln!(f, "        {reason}")?;
        }
        writeln!(f, "        {labels} labels for ${cost:.4}, trained for {job_seconds} s")?;
        let compared = [
            ("shifted language found", self.recall_before, self.recall_after),
            ("usual talk judged right", self.ordinary_before, self.ordinary_after),
            ("harmless uses left alone", self.innocent_before, self.innocent_after),
        ];
        for (what, before, after) in compared {
            // A challenger that was never on trial has nothing to be compared by.
            if let (Some(before), Some(after)) = (before, after) {
                writeln!(f, "        {what}: {:.1} % before, {:.1} % after", before * 100.0, after * 100.0)?;
            }
        }
        Ok(())
    }
}

/// Shifts the language, and goes all the way to the end of the run that follows.
pub(crate) async fn close_the_loop(
    stack: &Stack,
    scenario: Scenario,
    stages: &mut Stages,
) -> Result<Retrain> {
    if scenario == Scenario::WrongLabels {
        let Labelers::StandIn(labeler) = &stack.labelers else { bail!("only the stand-in answers wrongly") };
        labeler.answer_wrongly(true);
    }
    let since = Utc::now();
    stages.run("a community shifts its language", post(stack, SHIFTED)).await?;
    stages.run("find drift", find_drift(stack, since)).await?;
    let run = stages.run("sample and label", reach(stack, RunState::Training)).await?;
    let run = stages.run("train", reach_from(stack, run, RunState::Evaluating)).await?;
    let mut run = stages.run("judge", reach_from(stack, run, RunState::Registered)).await?;
    let mut seen = Vec::new();
    if !run.state.is_final() {
        let trial = on_trial(stack, scenario, &mut seen);
        run = stages.run("shadow and canary", trial).await?;
    }
    retrain(stack, &run, &seen).await
}

/// Posts items in the shifted language, and waits until they are scored.
async fn post(stack: &Stack, count: u64) -> Result<Vec<FeedItem>> {
    let posted = stand_in(stack)?.post_more(count, Language::Shifted)?;
    fetch_all(stack).await?;
    score_all(stack).await?;
    Ok(posted)
}

/// Runs the monitor over what was scored since then until a run was asked for.
async fn find_drift(stack: &Stack, since: DateTime<Utc>) -> Result<()> {
    let end = Utc::now().max(since + MIN_WINDOW);
    let early = end - Utc::now() - FUTURE_ALLOWED;
    tokio::time::sleep(early.to_std().unwrap_or_default()).await;
    for more in 0..MAX_WINDOWS {
        let end = end + TimeDelta::seconds(more.into());
        let window = json!({"window_end": end, "window_hours": (end - since).as_seconds_f64() / 3600.0});
        let answer = stack.invoke(Function::Monitor, window).await?.payload;
        if answer["retrain_requests"].as_u64().unwrap_or_default() > 0 {
            return Ok(());
        }
        if more + 1 == MAX_WINDOWS {
            bail!("no drift was found: {answer}");
        }
    }
    Ok(())
}

/// The run that the drift led to, once it has come as far as `state` or is over.
async fn reach(stack: &Stack, state: RunState) -> Result<Run> {
    let begun = Instant::now();
    loop {
        tick(stack).await;
        if let Some(run) = latest(stack).await?
            && (run.state.is_final() || is_reached(run.state, state))
        {
            return Ok(run);
        }
        ensure!(
            begun.elapsed() < MAX_TIME,
            "the run did not come to {state} within {} s",
            MAX_TIME.as_secs()
        );
        tokio::time::sleep(POLL).await;
    }
}

async fn reach_from(stack: &Stack, run: Run, state: RunState) -> Result<Run> {
    if run.state.is_final() { Ok(run) } else { reach(stack, state).await }
}

fn is_reached(state: RunState, wanted: RunState) -> bool {
    let at = |state| RunState::ALL.iter().position(|known| *known == state);
    at(state) >= at(wanted)
}

/// As the clock would. A failed one is told and no more: the next one goes on.
async fn tick(stack: &Stack) {
    if let Err(error) = stack.invoke(Function::Retrain, json!({})).await {
        eprintln!("  a run of retrain failed, as it may: {error:#}");
    }
}

async fn latest(stack: &Stack) -> Result<Option<Run>> {
    Ok(stack.session().await?.runs(1).await?.pop())
}

/// People go on posting until the challenger has taken over or is gone.
async fn on_trial(stack: &Stack, scenario: Scenario, seen: &mut Vec<FeedItem>) -> Result<Run> {
    let begun = Instant::now();
    let mut run = reach(stack, RunState::Shadow).await?;
    while !run.state.is_final() {
        ensure!(begun.elapsed() < MAX_TIME, "the trial was not over within {} s", MAX_TIME.as_secs());
        if scenario == Scenario::BadCanary && run.state == RunState::Canary {
            spoil(stack, &run).await?;
        }
        seen.extend(post(stack, ON_TRIAL).await?);
        tick(stack).await;
        run = latest(stack).await?.context("the run is gone")?;
    }
    // The clock's next tick: the registry follows.
    tick(stack).await;
    Ok(run)
}

/// Puts rubbish in the place of the challenger's bundle, and lets inference start anew.
async fn spoil(stack: &Stack, run: &Run) -> Result<()> {
    let uri = run.bundle_uri.as_deref().context("the challenger has a bundle")?;
    let object = uri.strip_prefix("s3://").context("the bundle lies in S3")?;
    stack.cloud.endpoint().put_object(object, "spoilt").await?;
    kill_processes_of(Function::Inference.name(), stack.cloud.process_group())?;
    Ok(())
}

async fn retrain(stack: &Stack, run: &Run, seen: &[FeedItem]) -> Result<Retrain> {
    let labeling = run.labeling.clone().unwrap_or_default();
    let (before, after) = match &run.champion_version {
        Some(champion) => compare(stack, seen, champion, &run.challenger_version).await?,
        None => Default::default(),
    };
    Ok(Retrain {
        run: run.id,
        state: run.state,
        reason: run.reason.clone(),
        labels: labeling["labeled"].as_u64().unwrap_or_default(),
        cost: labeling["cost_micros"].as_f64().unwrap_or_default() / 1e6,
        job_seconds: run.job_seconds.unwrap_or_default(),
        gate: text(run.gate.as_ref(), "decision"),
        version: run.challenger_version.to_string(),
        registry_version: run.registered_version.clone(),
        recall_before: before.coded.share(),
        recall_after: after.coded.share(),
        ordinary_before: before.ordinary.share(),
        ordinary_after: after.ordinary.share(),
        innocent_before: before.innocent.share(),
        innocent_after: after.innocent.share(),
    })
}

fn text(value: Option<&Value>, field: &str) -> String {
    value.and_then(|value| value[field].as_str()).unwrap_or("none").to_owned()
}

/// How many were judged right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    right: u32,
    all: u32,
}

impl Tally {
    fn share(self) -> Option<f64> {
        (self.all > 0).then(|| (f64::from(self.right) / f64::from(self.all) * 1e4).round() / 1e4)
    }
}

/// How a model judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Judged {
    coded: Tally,
    ordinary: Tally,
    innocent: Tally,
}

impl Judged {
    fn count(&mut self, intent: Intent, flagged: bool) {
        let (tally, right) = match intent {
            Intent::CodedInsult => (&mut self.coded, flagged),
            Intent::Insult => (&mut self.ordinary, flagged),
            Intent::Ordinary => (&mut self.ordinary, !flagged),
            Intent::Innocent => (&mut self.innocent, !flagged),
        };
        tally.all += 1;
        tally.right += u32::from(right);
    }
}

/// Both models on the items that both scored.
async fn compare(
    stack: &Stack,
    items: &[FeedItem],
    champion: &ModelVersion,
    challenger: &ModelVersion,
) -> Result<(Judged, Judged)> {
    let names: Vec<ItemId> = items.iter().map(|item| item.fullname.id()).collect();
    let session = stack.session().await?;
    let (before, after) =
        (session.flagged_by(champion, &names).await?, session.flagged_by(challenger, &names).await?);
    let (mut old, mut new) = (Judged::default(), Judged::default());
    for item in items {
        if let (Some(before), Some(after)) = (before.get(&item.fullname.id()), after.get(&item.fullname.id()))
        {
            old.count(item.intent, *before);
            new.count(item.intent, *after);
        }
    }
    Ok((old, new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_right_depends_on_what_was_meant() {
        let mut judged = Judged::default();
        for (intent, flagged) in [
            (Intent::CodedInsult, true),
            (Intent::CodedInsult, false),
            (Intent::Insult, true),
            (Intent::Ordinary, false),
            (Intent::Innocent, true),
        ] {
            judged.count(intent, flagged);
        }
        assert_eq!(judged.coded, Tally { right: 1, all: 2 });
        assert_eq!(judged.ordinary.share(), Some(1.0));
        assert_eq!(judged.innocent.share(), Some(0.0));
        assert_eq!(Tally::default().share(), None);
    }

    #[test]
    fn states_come_in_order() {
        assert!(is_reached(RunState::Training, RunState::Training));
        assert!(is_reached(RunState::Shadow, RunState::Registered));
        assert!(!is_reached(RunState::Sampling, RunState::Labeling));
    }
}
