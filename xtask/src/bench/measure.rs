//! Figures of a process, and what rounds of them come to.

use std::fs;

use anyhow::{Context, Result};
use serde::Serialize;

/// Seconds of processor time of all threads of a process, to the nanosecond.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    let tasks = format!("/proc/{process}/task");
    let mut nanoseconds = 0u64;
    for task in fs::read_dir(&tasks).with_context(|| format!("list {tasks}"))? {
        // A thread may end between being listed and being read.
        let Ok(times) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanoseconds += times.split(' ').next().and_then(|time| time.parse::<u64>().ok()).unwrap_or_default();
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// The most memory a process has had in use (VmHWM), in megabytes of 10⁶ bytes.
pub(crate) fn peak_megabytes(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("the process has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024.0 / 1e6)
}

/// Seconds an item took in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Of the processor.
    pub cpu: f64,
    /// By the clock.
    pub wall: f64,
}

/// A figure of many rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The middle one.
    pub median: f64,
    /// A tenth of the rounds gave less.
    pub low: f64,
    /// A tenth of the rounds gave more.
    pub high: f64,
}

impl Spread {
    /// Of at least one figure.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * sorted.len().saturating_sub(1) as f64;
            sorted.get(place.round() as usize).copied().unwrap_or(f64::NAN)
        };
        Self { median: at(0.5), low: at(0.1), high: at(0.9) }
    }
}

/// What all contenders did at one length.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Speeds {
    /// Tokens of each text.
    pub tokens: usize,
    /// In the order of the contenders, ours first.
    pub contenders: Vec<Speed>,
}

/// What one contender did.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Speed {
    /// See [`super::Contender::name`].
    pub name: &'static str,
    /// Items in a second of processor time.
    pub items_per_core_second: Spread,
    /// Milliseconds an item took by the clock.
    pub milliseconds: Spread,
    /// How many times faster ours was in the same round.
    pub ours_is_faster: Spread,
}

impl Speeds {
    /// `costs` per contender and round.
    pub(crate) fn new(tokens: usize, names: &[&'static str], costs: &[Vec<Cost>]) -> Self {
        let speed = |(name, rounds): (&&'static str, &Vec<Cost>)| Speed {
            name,
            items_per_core_second: Spread::of(rounds.iter().map(|cost| 1.0 / cost.cpu)),
            milliseconds: Spread::of(rounds.iter().map(|cost| cost.wall * 1000.0)),
            ours_is_faster: Spread::of(rounds.iter().zip(&costs[0]).map(|(their, our)| their.cpu / our.cpu)),
        };
        Self { tokens, contenders: names.iter().zip(costs).map(speed).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_leaves_outliers_out() {
        let spread = Spread::of((0..=100).rev().map(f64::from));
        assert_eq!((spread.median, spread.low, spread.high), (50.0, 10.0, 90.0));
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let me = std::process::id();
        assert!(cpu_seconds(me).expect("readable") > 0.0);
        assert!(peak_megabytes(me).expect("readable") > 1.0);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let cost = |cpu| Cost { cpu, wall: cpu };
        // The second round was disturbed for both.
        let speeds = Speeds::new(
            32,
            &["ours", "theirs"],
            &[vec![cost(1.0), cost(3.0), cost(1.0)], vec![cost(4.0), cost(12.0), cost(4.0)]],
        );
        assert_eq!(speeds.contenders[1].ours_is_faster, Spread { median: 4.0, low: 4.0, high: 4.0 });
    }
}
