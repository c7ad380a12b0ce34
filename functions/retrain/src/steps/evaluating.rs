use std::collections::BTreeMap;

use modloop_bundle::Bundle;
use modloop_domain::Label;
use modloop_domain::RunState;
use modloop_evaluation::DevLine;
use modloop_gate::{Contest, Decision, GateReport, Judged, Outcome, Pair, Rate, judge};
use modloop_registry::RunInfo;
use modloop_store::labels::LabeledItem;
use modloop_store::runs::RunUpdate;
use serde_json::json;

use super::{Step, Work};
use crate::bundles::{self, OpenBundle, blocking};
use crate::{Measurement, RetrainError};

impl Work<'_> {
    /// Measures both models on the gold set exactly as they are served, and judges. A challenger that passes
    /// is kept, registered and made known, each under its own name: a repeat finds it.
    pub(super) async fn evaluate(&self) -> Result<Step, RetrainError> {
        let artifact = self.needed(&self.run.job_artifact, "job_artifact")?;
        let challenger = bundles::download(self.context, artifact).await?;
        let champion = bundles::open(self.context, self.champion()?).await?;
        if let Some(problem) = self.mismatch(&challenger.bundle, &champion.bundle) {
            return self.end(RunState::Failed, &problem, RunUpdate::default()).await;
        }
        let report = self.compare(&champion, &challenger).await?;
        tracing::info!(run = self.run.id, report = %report, "the gate decided");
        let progress = RunUpdate { gate: Some(json!(report)), ..RunUpdate::default() };
        match report.decision {
            Decision::Refuse => {
                let reason = format!("the gate refused: {}", report.reason);
                self.end(RunState::Rejected, &reason, progress).await
            }
            Decision::Promote => self.register(&challenger, &report, progress).await,
        }
    }

    fn mismatch(&self, challenger: &Bundle, champion: &Bundle) -> Option<String> {
        let (found, wanted) = (challenger.version(), &self.run.challenger_version);
        if found != wanted {
            return Some(format!("the job made {found} and not {wanted}"));
        }
        let differ = challenger.labels() != champion.labels();
        differ.then(|| "the job's model has other labels than the champion".to_owned())
    }

    async fn compare(
        &self,
        champion: &OpenBundle,
        challenger: &OpenBundle,
    ) -> Result<GateReport, RetrainError> {
        let items = self.labeled_items(self.champion()?).await?;
        let gold = self.divide(&items)?.gold;
        let labels = champion.bundle.labels();
        let lines: Vec<DevLine> = gold.iter().map(|item| line(item, labels)).collect();
        let measured = Pair {
            champion: self.measure(&champion.bundle, &lines).await?,
            challenger: self.measure(&challenger.bundle, &lines).await?,
        };
        let contest = Contest {
            items: judged(&gold, labels, &measured),
            labels: labels.to_vec(),
            functional: Pair {
                champion: measured.champion.functional,
                challenger: measured.challenger.functional,
            },
            identity: identity(&measured),
            parity_flips: parity(&challenger.bundle),
            bundle_bytes: challenger.bytes(),
            milliseconds: Pair {
                champion: measured.champion.milliseconds,
                challenger: measured.challenger.milliseconds,
            },
        };
        let policy = self.settings.gate.0.clone();
        blocking("judging", move || Ok(judge(&contest, &policy))).await
    }

    async fn measure(&self, bundle: &Bundle, lines: &[DevLine]) -> Result<Measurement, RetrainError> {
        let (models, bundle, lines) = (self.context.outside.models.clone(), bundle.clone(), lines.to_vec());
        blocking("measuring a model", move || models.measure(&bundle, &lines)).await
    }

    async fn register(
        &self,
        challenger: &OpenBundle,
        report: &GateReport,
        progress: RunUpdate,
    ) -> Result<Step, RetrainError> {
        let uri = bundles::keep(self.context, challenger).await?;
        let info = self.info(report);
        let number = self.context.outside.registry.register(&challenger.bundle, &info).await?;
        let model = bundles::as_model(&challenger.bundle, Some(uri.clone()));
        self.context.database.ask(async |store| store.register_model(&model).await).await?;
        let facts = json!({"bundle": uri, "registry_version": number, "reason": report.reason});
        let progress = RunUpdate { bundle_uri: Some(uri), registered_version: Some(number), ..progress };
        self.move_to(RunState::Registered, "the challenger passed the gate", &progress, &facts).await
    }

    /// What the registry shows beside what the bundle says itself.
    fn info(&self, report: &GateReport) -> RunInfo {
        let mut params = self.settings.training.hyperparameters.clone();
        params.insert("run".into(), self.run.id.to_string());
        params.extend(self.run.champion_version.iter().map(|v| ("champion".to_owned(), v.to_string())));
        let metrics = BTreeMap::from([
            ("gate/macro_f1".to_owned(), report.macro_f1.challenger),
            ("gate/champion_macro_f1".to_owned(), report.macro_f1.champion),
            ("gate/difference".to_owned(), report.difference.estimate),
            ("gate/difference_lower".to_owned(), report.difference.lower),
            ("job_seconds".to_owned(), f64::from(self.run.job_seconds.unwrap_or_default())),
        ]);
        RunInfo { data_set: self.run.data_set_hash.clone(), params, metrics, ..RunInfo::default() }
    }
}

fn line(item: &LabeledItem, labels: &[Label]) -> DevLine {
    let truth = labels.iter().map(|label| item.labels.get(label).map(|(value, _source)| *value));
    DevLine { source: item.community.to_string(), text: item.text.scored(), truth: truth.collect() }
}

fn judged(gold: &[&LabeledItem], labels: &[Label], measured: &Pair<Measurement>) -> Vec<Judged> {
    let scores = measured.champion.scores.iter().zip(&measured.challenger.scores);
    let judge = |(item, (champion, challenger)): (&&LabeledItem, (&Vec<f32>, &Vec<f32>))| {
        let reached = |label: &Label, score: f32| score >= item.thresholds.of(label).review().get();
        let found = |scores: &[f32], index: usize| {
            scores.get(index).zip(labels.get(index)).is_some_and(|(score, label)| reached(label, *score))
        };
        let outcome = |(index, label): (usize, &Label)| {
            item.labels.get(label).map(|(truth, _source)| Outcome {
                truth: *truth,
                champion: found(champion, index),
                challenger: found(challenger, index),
            })
        };
        let any = |scores: &[f32]| scores.iter().zip(labels).any(|(score, label)| reached(label, *score));
        Judged {
            community: item.community.to_string(),
            drifted: item.drifted,
            weight: f64::from(item.weight),
            outcomes: labels.iter().enumerate().map(outcome).collect(),
            flagged: Pair { champion: any(champion), challenger: any(challenger) },
        }
    };
    gold.iter().zip(scores).map(judge).collect()
}

fn identity(measured: &Pair<Measurement>) -> BTreeMap<String, Pair<Rate>> {
    let of_champion = |term: &String| measured.champion.identity.get(term).copied().unwrap_or_default();
    let terms = measured.challenger.identity.iter();
    terms
        .map(|(term, rate)| (term.clone(), Pair { champion: of_champion(term), challenger: *rate }))
        .collect()
}

/// As assembling measured it. A bundle that does not say has not been compared, and does not pass.
fn parity(bundle: &Bundle) -> Rate {
    let parity = &bundle.manifest().metrics["parity"];
    match (parity["decision_flips"].as_u64(), parity["items"].as_u64()) {
        (Some(part), Some(whole)) => Rate { part, whole },
        _ => Rate { part: 1, whole: 1 },
    }
}
