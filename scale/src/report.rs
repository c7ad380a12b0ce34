//! Goals, and what was measured.

use serde::Serialize;

use crate::Options;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Items the database was filled with.
    pub items: u64,
    /// Predictions.
    pub predictions: u64,
    /// Communities.
    pub communities: u32,
    /// Days over which they are spread.
    pub days: u32,
    /// Version and settings of the server.
    pub server: String,
    /// What must not take longer, or more.
    pub goals: Vec<Goal>,
    /// What is worth knowing.
    pub facts: Vec<Fact>,
}

/// A goal and how it came out.
#[derive(Debug, Serialize)]
pub struct Goal {
    /// What was measured.
    pub what: &'static str,
    /// In `unit`.
    pub measured: f64,
    /// No more than this meets the goal.
    pub limit: f64,
    /// Seconds, milliseconds or MB.
    pub unit: &'static str,
    /// Whether it is met.
    pub met: bool,
}

/// A figure without a goal.
#[derive(Debug, Serialize)]
pub struct Fact {
    /// What was measured.
    pub what: String,
    /// In `unit`.
    pub measured: f64,
    /// The unit.
    pub unit: &'static str,
}

impl Report {
    pub(crate) fn new(options: &Options, server: String) -> Self {
        let Options { items, predictions, communities, days, .. } = *options;
        Self { items, predictions, communities, days, server, goals: Vec::new(), facts: Vec::new() }
    }

    pub(crate) fn goal(&mut self, what: &'static str, measured: f64, limit: f64, unit: &'static str) {
        eprintln!("  {what}: {measured:.2} {unit}");
        self.goals.push(Goal { what, measured, limit, unit, met: measured <= limit });
    }

    pub(crate) fn fact(&mut self, what: impl Into<String>, measured: f64, unit: &'static str) {
        let what = what.into();
        eprintln!("  {what}: {measured:.1} {unit}");
        self.facts.push(Fact { what, measured, unit });
    }

    /// Prints goals and facts.
    pub fn print(&self) {
        println!(
            "{} items and {} predictions of {} communities over {} days, {}",
            self.items, self.predictions, self.communities, self.days, self.server
        );
        for Goal { what, measured, limit, unit, met } in &self.goals {
            let verdict = if *met { "met   " } else { "missed" };
            println!("  {verdict}  {what:<58} {measured:>9.2} {unit} (goal {limit} {unit})");
        }
        println!("  awaited answers of a batch are counted by a test of functions/inference");
        for Fact { what, measured, unit } in &self.facts {
            println!("          {what:<58} {measured:>9.1} {unit}");
        }
    }
}
