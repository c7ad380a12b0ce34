use std::sync::Arc;
use std::time::Instant;

use modloop_classifier::{ScoreError, TextScores};
use modloop_domain::{Decision, ItemId, Label, ModelVersion, Probability};
use modloop_store::models::{Challenger, ChallengerMode, HealthEntry};
use modloop_store::predictions::{ItemToScore, NewPrediction};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use crate::{OnTrial, Scorer};

/// What the models say about a batch.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// Of each item one that decides, and one beside it where a challenger is on trial.
    pub(crate) predictions: Vec<NewPrediction>,
    /// Items about which no model could decide.
    pub(crate) failed: Vec<ItemId>,
    /// Of both models, on the items that both scored.
    pub(crate) health: Vec<HealthEntry>,
}

type Scores = Vec<Result<TextScores, ScoreError>>;

/// Scores a batch. Both models score the challenger's share of the items, one after the other and alike, so that
/// they can be compared; the champion alone scores the rest.
pub(crate) async fn judge(
    champion: &Arc<dyn Scorer>,
    trial: Option<&OnTrial>,
    items: &[ItemToScore],
) -> Judged {
    let in_share = |item: &&ItemToScore| {
        trial.is_some_and(|trial| trial.scorer.is_some() && holds(&trial.challenger, &item.id))
    };
    let (shared, rest): (Vec<&ItemToScore>, Vec<&ItemToScore>) = items.iter().partition(in_share);
    let mut judged = Judged::default();
    let (scores, _took) = timed(champion, &rest).await;
    for (item, scores) in rest.iter().zip(scores) {
        judged.decide(item, champion, scores);
    }
    let Some(trial) = trial else { return judged };
    let (own, took) = timed(champion, &shared).await;
    judged.health.push(health(champion.version(), &own, took));
    match &trial.scorer {
        None => judged.health.push(HealthEntry {
            model: trial.challenger.model.version.clone(),
            items: 0,
            failed: 0,
            load_failures: u64::from(trial.load_failed),
            milliseconds: 0.0,
        }),
        Some(challenger) => {
            let (others, took) = timed(challenger, &shared).await;
            judged.health.push(health(challenger.version(), &others, took));
            let scorers = (champion, challenger);
            for ((item, own), other) in shared.iter().zip(own).zip(others) {
                judged.compare(item, trial.challenger.mode, scorers, (own, other));
            }
        }
    }
    judged
}

/// Whether an item belongs to the share of a challenger: always the same items, others for the next challenger.
fn holds(challenger: &Challenger, item: &ItemId) -> bool {
    let version = challenger.model.version.as_str();
    let digest = Sha256::new().chain_update(version).chain_update([0]).chain_update(item.as_str()).finalize();
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    f64::from(number) < f64::from(challenger.share.get()) * 2_f64.powi(32)
}

/// The scores, and how many milliseconds they took.
async fn timed(scorer: &Arc<dyn Scorer>, items: &[&ItemToScore]) -> (Scores, f64) {
    if items.is_empty() {
        return (Vec::new(), 0.0);
    }
    let texts: Vec<String> = items.iter().map(|item| item.text.scored()).collect();
    let (scorer, started) = (scorer.clone(), Instant::now());
    let scoring = spawn_blocking(move || {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        scorer.score(&texts)
    });
    let broken_off = |_ended| {
        let error = || ScoreError::Runtime("the scoring thread ended early".to_owned());
        items.iter().map(|_item| Err(error())).collect()
    };
    let scores = scoring.await.unwrap_or_else(broken_off);
    (scores, started.elapsed().as_secs_f64() * 1000.0)
}

fn health(model: &ModelVersion, scores: &[Result<TextScores, ScoreError>], milliseconds: f64) -> HealthEntry {
    let failed = scores.iter().filter(|scores| scores.is_err()).count() as u64;
    HealthEntry {
        model: model.clone(),
        items: scores.len() as u64 - failed,
        failed,
        load_failures: 0,
        milliseconds,
    }
}

impl Judged {
    /// One model alone.
    fn decide(
        &mut self,
        item: &ItemToScore,
        scorer: &Arc<dyn Scorer>,
        scores: Result<TextScores, ScoreError>,
    ) {
        match scores {
            Ok(scores) => self.predictions.push(prediction(item, scores, scorer, true)),
            Err(error) => {
                let model = scorer.version();
                tracing::error!(item = %item.id, %model, reason = %error, "the item cannot be scored");
                self.failed.push(item.id.clone());
            }
        }
    }

    /// In shadow the champion decides, in canary the challenger. Where it cannot, the other one does: a trial
    /// never costs an item its decision.
    fn compare(
        &mut self,
        item: &ItemToScore,
        mode: ChallengerMode,
        (champion, challenger): (&Arc<dyn Scorer>, &Arc<dyn Scorer>),
        (own, other): (Result<TextScores, ScoreError>, Result<TextScores, ScoreError>),
    ) {
        let (decides, beside) = match mode {
            ChallengerMode::Shadow => ((champion, own), (challenger, other)),
            ChallengerMode::Canary => ((challenger, other), (champion, own)),
        };
        match (decides, beside) {
            ((model, Ok(scores)), (other, beside)) => {
                self.predictions.push(prediction(item, scores, model, true));
                self.predictions.extend(beside.ok().map(|scores| prediction(item, scores, other, false)));
            }
            // A challenger in shadow decides nothing, whatever happens to the champion.
            ((model, Err(error)), (_, beside)) if mode == ChallengerMode::Shadow || beside.is_err() => {
                self.decide(item, model, Err(error));
            }
            ((_, Err(_)), (other, beside)) => self.decide(item, other, beside),
        }
    }
}

fn prediction(
    item: &ItemToScore,
    scores: TextScores,
    scorer: &Arc<dyn Scorer>,
    decides: bool,
) -> NewPrediction {
    let labels = scorer.labels();
    let judgment = item.thresholds.judge(labels, &scores.scores);
    let reached = |(label, score): (&Label, &Probability)| {
        (item.thresholds.of(label).decide(*score) != Decision::Allow).then(|| label.clone())
    };
    NewPrediction {
        id: item.id.clone(),
        content_hash: item.content_hash,
        model: scorer.version().clone(),
        decision: judgment.decision,
        label: judgment.label,
        flagged_labels: labels.iter().zip(&scores.scores).filter_map(reached).collect(),
        scores: scores.scores,
        policy_id: item.policy_id,
        decides,
        tokens: scores.tokens,
        unknown_tokens: scores.unknown_tokens,
        windows: scores.windows,
        read_whole: !scores.truncated,
    }
}
