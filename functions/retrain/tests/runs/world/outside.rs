use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use modloop_bundle::{Bundle, pack};
use modloop_cloud::{CloudError, JobStatus, TrainingJob};
use modloop_domain::Label;
use modloop_evaluation::DevLine;
use modloop_gate::Rate;
use modloop_labeler::{Budget, MicroDollars, NoLabel, Outcome, Spend, Unlabeled, Verdict};
use modloop_retrain::{Files, Jobs, LabelTexts, Measure, Measurement, Outside, RetrainError, RunBudget};

use super::{CODED, Outer, tiny_bundle};

pub(super) fn outside(outer: &Arc<Outer>) -> Outside {
    Outside {
        files: Arc::new(MemoryFiles(outer.clone())),
        jobs: Arc::new(InstantJobs(outer.clone())),
        labeler: Some(Arc::new(WordLabeler(outer.clone()))),
        registry: Arc::new(super::registry::MemoryRegistry(outer.clone())),
        models: Arc::new(WordModels(outer.clone())),
    }
}

/// Objects in memory.
struct MemoryFiles(Arc<Outer>);

#[async_trait(?Send)]
impl Files for MemoryFiles {
    async fn upload(&self, file: &Path, uri: &str) -> Result<(), CloudError> {
        self.0.point("files").await?;
        let bytes = std::fs::read(file).expect("the file is there");
        self.0.files.lock().expect("no panic").insert(uri.to_owned(), bytes);
        self.0.point("files").await
    }

    async fn exists(&self, uri: &str) -> Result<bool, CloudError> {
        self.0.point("files").await?;
        Ok(self.0.files.lock().expect("no panic").contains_key(uri))
    }

    async fn download(&self, uri: &str, file: &Path) -> Result<(), CloudError> {
        self.0.point("files").await?;
        let bytes = self.0.files.lock().expect("no panic").get(uri).cloned();
        let refused = || CloudError::Refused { what: uri.to_owned(), reason: "NoSuchKey".to_owned() };
        std::fs::write(file, bytes.ok_or_else(refused)?).expect("written");
        Ok(())
    }
}

/// Jobs that are done, or failed, as soon as they are started.
struct InstantJobs(Arc<Outer>);

#[async_trait(?Send)]
impl Jobs for InstantJobs {
    async fn create(&self, job: &TrainingJob) -> Result<bool, CloudError> {
        self.0.point("jobs").await?;
        let is_new = self.0.jobs.lock().expect("no panic").insert(job.name.clone(), job.clone()).is_none();
        assert!(is_new, "SageMaker would refuse a second job of this name");
        let folder = tempfile::tempdir().expect("a folder");
        let bundle = tiny_bundle(&folder.path().join("bundle"), &job.hyperparameters["version"], 2);
        let archive = folder.path().join("model.tar.gz");
        pack(&bundle, &archive).expect("packs");
        let bytes = std::fs::read(&archive).expect("reads");
        self.0.files.lock().expect("no panic").insert(artifact(job), bytes);
        self.0.point("jobs").await?;
        Ok(true)
    }

    async fn describe(&self, name: &str) -> Result<Option<JobStatus>, CloudError> {
        self.0.point("jobs").await?;
        let jobs = self.0.jobs.lock().expect("no panic");
        Ok(jobs.get(name).map(|job| match self.0.job_fails.load(Ordering::Relaxed) {
            true => JobStatus::Ended("Failed: AlgorithmError: out of memory".into()),
            false => JobStatus::Completed { artifact: artifact(job), seconds: 60 },
        }))
    }

    async fn stop(&self, name: &str) -> Result<(), CloudError> {
        self.0.point("jobs").await?;
        self.0.stopped.lock().expect("no panic").push(name.to_owned());
        Ok(())
    }
}

fn artifact(job: &TrainingJob) -> String {
    format!("{}{}/output/model.tar.gz", job.output_uri, job.name)
}

/// Knows the coded word. Spends 100 tokens a text.
struct WordLabeler(Arc<Outer>);

const COST: Spend = Spend { input_tokens: 80, output_tokens: 20, cost: MicroDollars(30) };

#[async_trait(?Send)]
impl LabelTexts for WordLabeler {
    async fn label(
        &self,
        _settings: &modloop_settings::Labeler,
        texts: Vec<Unlabeled>,
        labels: &[Label],
        budget: &RunBudget<'_>,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for text in texts {
            let result = self.verdict(&text, labels, budget).await;
            let spent = if result.is_ok() { COST } else { Spend::NONE };
            outcomes.push(Outcome { id: text.id, spent, result });
        }
        outcomes
    }
}

impl WordLabeler {
    async fn verdict(
        &self,
        text: &Unlabeled,
        labels: &[Label],
        budget: &RunBudget<'_>,
    ) -> Result<Verdict, NoLabel> {
        let unavailable = |error: CloudError| NoLabel::Unavailable(error.to_string());
        let reservation = budget.reserve(COST).await?;
        self.0.point("labeler").await.map_err(unavailable)?;
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        self.0.point("labeler").await.map_err(unavailable)?;
        budget.settle(reservation, COST).await?;
        let coded = text.text.contains(CODED) != self.0.lies.load(Ordering::Relaxed);
        Ok(Verdict {
            answers: labels.iter().map(|label| (label.clone(), coded)).collect::<BTreeMap<_, _>>(),
            rationale: "it knows the word".into(),
            model: "words".into(),
            rubric_version: "v1".into(),
        })
    }
}

/// The champion misses the coded word, a challenger knows it, unless it is dull.
struct WordModels(Arc<Outer>);

impl Measure for WordModels {
    fn measure(&self, bundle: &Bundle, lines: &[DevLine]) -> Result<Measurement, RetrainError> {
        let knows = bundle.version().as_str() != "v1" && !self.0.dull.load(Ordering::Relaxed);
        let score = |line: &DevLine| if knows && line.text.contains(CODED) { 0.9 } else { 0.1 };
        Ok(Measurement {
            scores: lines.iter().map(|line| vec![score(line); bundle.labels().len()]).collect(),
            milliseconds: 3.0,
            functional: Rate { part: 90, whole: 100 },
            identity: BTreeMap::from([("gay".to_owned(), Rate { part: 1, whole: 20 })]),
        })
    }
}
