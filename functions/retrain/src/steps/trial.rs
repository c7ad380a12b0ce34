use modloop_domain::Probability;
use modloop_domain::RunState;
use modloop_gate::{Evidence, GateReport, Pair, TrialReport, TrialVerdict, Work as Done, judge_trial};
use modloop_store::models::{ChallengerMode, Health, Serving, TrialNumbers, TrialStart};
use modloop_store::runs::{Change, RunUpdate};
use serde_json::{Value, json};

use super::{Step, Work, read};
use crate::RetrainError;

impl Work<'_> {
    pub(super) async fn start_shadow(&self) -> Result<Step, RetrainError> {
        let start = self.trial(ChallengerMode::Shadow)?;
        self.start(start, "scores beside the champion and decides nothing", &RunUpdate::default()).await
    }

    /// Judges the trial by what it has shown. Anything bad ends it at once, without a person.
    pub(super) async fn watch_trial(&self) -> Result<Step, RetrainError> {
        let challenger = &self.run.challenger_version;
        let serving = self.context.database.ask(async |store| store.serving().await).await?;
        if serving.challenger.as_ref().is_none_or(|c| c.model.version != *challenger) {
            return self.taken_over(&serving).await;
        }
        let champion = serving.champion.map_or_else(|| self.context.shipped.clone(), |model| model.version);
        let numbers =
            self.context.database.ask(async |store| store.trial_numbers(challenger, &champion).await).await?;
        let Some(numbers) = numbers else { return Ok(Step::Waits("the trial has not begun".into())) };
        let report = self.judge(&numbers)?;
        let progress = RunUpdate { trial: Some(self.trial_so_far(&report)), ..RunUpdate::default() };
        match (report.verdict, self.run.state) {
            (TrialVerdict::GoOn, _) => Ok(Step::Waits(report.reason)),
            (TrialVerdict::Failed, state) => {
                let reason = format!("the challenger failed its trial in {state}: {}", report.reason);
                self.withdraw(RunState::RolledBack, &reason, &progress, &json!(report)).await
            }
            (TrialVerdict::Passed, RunState::Shadow) => {
                let start = self.trial(ChallengerMode::Canary)?;
                self.start(start, "decides for a share of the items", &progress).await
            }
            (TrialVerdict::Passed, _) => self.promote(&report, &progress).await,
        }
    }

    fn judge(&self, numbers: &TrialNumbers) -> Result<TrialReport, RetrainError> {
        let gate: GateReport = read(self.run, "gate", self.needed(&self.run.gate, "gate")?)?;
        let policy = match self.run.state {
            RunState::Shadow => &self.settings.trials.shadow,
            _ => &self.settings.trials.canary,
        };
        Ok(judge_trial(evidence(numbers), gate.shift, policy))
    }

    /// Both modes, side by side.
    fn trial_so_far(&self, report: &TrialReport) -> Value {
        let mut trial = self.run.trial.clone().unwrap_or_else(|| json!({}));
        trial[self.run.state.as_str()] = json!(report);
        trial
    }

    fn trial(&self, mode: ChallengerMode) -> Result<TrialStart, RetrainError> {
        let share = match mode {
            ChallengerMode::Shadow => self.settings.trials.shadow_share,
            ChallengerMode::Canary => self.settings.trials.canary_share,
        };
        let refused = |e| RetrainError::Incomplete { run: self.run.id, problem: format!("a share of {e}") };
        Ok(TrialStart { mode, share: Probability::new(share).map_err(refused)? })
    }

    async fn start(&self, start: TrialStart, what: &str, progress: &RunUpdate) -> Result<Step, RetrainError> {
        let (id, from) = (self.run.id, self.run.state);
        let facts = json!({"challenger": self.run.challenger_version, "share": start.share});
        let change = Change { update: progress, what, facts: &facts };
        self.context.database.ask(async |store| store.start_trial(id, from, start, change).await).await?;
        tracing::info!(run = id, mode = ?start.mode, "a trial began");
        Ok(Step::Moved(match start.mode {
            ChallengerMode::Shadow => RunState::Shadow,
            ChallengerMode::Canary => RunState::Canary,
        }))
    }

    async fn promote(&self, report: &TrialReport, progress: &RunUpdate) -> Result<Step, RetrainError> {
        let facts = json!(report);
        let what = format!("took over: {}", report.reason);
        let change = Change { update: progress, what: &what, facts: &facts };
        let id = self.run.id;
        let promoted =
            self.context.database.ask(async |store| store.promote_challenger(id, change).await).await?;
        match promoted {
            Some(_run) => Ok(Step::Moved(RunState::Champion)),
            // Withdrawn or promoted by hand at this very moment; the next look says which.
            None => Ok(Step::Waits("the alias was changed meanwhile".into())),
        }
    }

    /// A person promoted the challenger or withdrew it.
    async fn taken_over(&self, serving: &Serving) -> Result<Step, RetrainError> {
        let challenger = &self.run.challenger_version;
        if serving.champion.as_ref().is_some_and(|model| model.version == *challenger) {
            let what = "was promoted by hand";
            return self.move_to(RunState::Champion, what, &RunUpdate::default(), &json!({})).await;
        }
        self.end(RunState::RolledBack, "the challenger was withdrawn by hand", RunUpdate::default()).await
    }
}

fn evidence(numbers: &TrialNumbers) -> Evidence {
    let work = |health: Health| Done {
        items: health.items,
        failed: health.failed,
        load_failures: health.load_failures,
        milliseconds: health.milliseconds,
    };
    Evidence {
        hours: numbers.hours,
        pairs: numbers.pairs,
        flagged: Pair { champion: numbers.champion_flagged, challenger: numbers.challenger_flagged },
        only_champion_right: numbers.only_champion_right,
        only_challenger_right: numbers.only_challenger_right,
        work: Pair { champion: work(numbers.champion), challenger: work(numbers.challenger) },
    }
}
