use std::fmt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::retrain::Retrain;

/// What one pass over the feed did: written by `up --once --report FILE`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Counts of items on their way through.
    pub items: Items,
    /// Version of the model that decided.
    pub model: String,
    /// Decisions on the present content of every item.
    pub decisions: Decisions,
    /// The monitor's worst verdict, before the language shifts.
    pub drift: String,
    /// What followed from the shift; nothing where there was none.
    pub retrain: Option<Retrain>,
    /// The champion in MLflow; nothing when MLflow could not be used.
    pub registry: Option<Registry>,
    /// How long each part took, in order.
    pub stages: Vec<Stage>,
    /// What was not the real thing.
    pub stand_ins: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Items {
    /// Different readable items that the feed showed.
    pub fetched: u64,
    /// Rows in the database.
    pub stored: u64,
    /// Items whose present content has a deciding prediction.
    pub scored: u64,
    /// Of those, items that were not scored in the end.
    pub lost: u64,
    /// Items with more than one deciding prediction for the same content and model.
    pub scored_twice: u64,
    /// Messages in the dead-letter queue of the scoring queue.
    pub dead_lettered: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Registry {
    /// MLflow's number of the champion.
    pub version: u32,
    /// Where MLflow answered.
    pub url: String,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Decisions {
    pub allow: u64,
    pub review: u64,
    pub remove: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Stage {
    pub name: String,
    pub seconds: f64,
}

/// Times the parts of a run, and says on standard error what is going on.
#[derive(Debug, Default)]
pub(crate) struct Stages(Vec<Stage>);

impl Stages {
    /// Runs `work` as the stage `name`.
    pub(crate) async fn run<T>(&mut self, name: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let spinner = crate::progress::spinner(name);
        let start = Instant::now();
        let outcome = work.await.with_context(|| format!("{name} failed"));
        let seconds = start.elapsed().as_secs_f64();
        spinner.finish(outcome.is_ok(), seconds);
        self.0.push(Stage { name: name.to_owned(), seconds: (seconds * 1000.0).round() / 1000.0 });
        outcome
    }

    pub(crate) fn into_vec(self) -> Vec<Stage> {
        self.0
    }
}

impl Report {
    /// Whether nothing was lost or counted twice, and only the poison was dead-lettered.
    pub(crate) fn verdict(&self, poison_sent: u64) -> Result<(), String> {
        let items = &self.items;
        let mut wrong = Vec::new();
        if items.fetched == 0 {
            wrong.push("nothing was fetched".to_owned());
        }
        if items.lost > 0 {
            wrong.push(format!("{} items were lost", items.lost));
        }
        if items.scored_twice > 0 {
            wrong.push(format!("{} items were scored twice", items.scored_twice));
        }
        if items.dead_lettered != poison_sent {
            wrong.push(format!(
                "{} messages in the dead-letter queue, expected {poison_sent}",
                items.dead_lettered
            ));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    /// Writes the report as JSON.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(file, text).with_context(|| format!("cannot write the report to {}", file.display()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (items, decisions) = (&self.items, &self.decisions);
        writeln!(f)?;
        writeln!(f, "Items   {} fetched, {} stored, {} scored", items.fetched, items.stored, items.scored)?;
        writeln!(
            f,
            "        {} lost, {} scored twice, {} dead-lettered",
            items.lost, items.scored_twice, items.dead_lettered
        )?;
        writeln!(
            f,
            "Decided {} allow, {} review, {} remove",
            decisions.allow, decisions.review, decisions.remove
        )?;
        writeln!(f, "Model   {}", self.model)?;
        writeln!(f, "Drift   {}", self.drift)?;
        if let Some(retrain) = &self.retrain {
            write!(f, "{retrain}")?;
        }
        match &self.registry {
            Some(registry) => writeln!(f, "MLflow  version {} is champion", registry.version)?,
            None => writeln!(f, "MLflow  not in use")?,
        }
        for stand_in in &self.stand_ins {
            writeln!(f, "Not real: {stand_in}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(items: Items) -> Report {
        Report {
            items,
            model: "1".into(),
            decisions: Decisions::default(),
            drift: "stable".into(),
            retrain: None,
            registry: None,
            stages: Vec::new(),
            stand_ins: Vec::new(),
        }
    }

    #[test]
    fn a_loss_fails_the_run_and_is_named() {
        let lossy = report(Items { fetched: 5, lost: 2, ..Items::default() });
        assert_eq!(lossy.verdict(0), Err("2 items were lost".into()));
    }

    #[test]
    fn only_the_poison_may_be_dead_lettered() {
        let poisoned = || report(Items { fetched: 5, dead_lettered: 1, ..Items::default() });
        assert_eq!(poisoned().verdict(1), Ok(()));
        assert!(poisoned().verdict(0).is_err());
    }

    #[test]
    fn an_empty_pass_is_no_success() {
        assert!(report(Items::default()).verdict(0).is_err());
    }
}
