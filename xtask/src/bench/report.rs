//! What is printed and written.

use anyhow::Result;
use modloop_bundle::BertConfig;
use serde::Serialize;

use super::environment::Instructions;
use super::measure::{Speeds, Spread};
use super::worker::Start;

/// AWS Lambda on x86, us-east-1, first tier: dollars a gigabyte-second
/// (<https://aws.amazon.com/lambda/pricing/>, as of November 2026; requests cost extra).
const DOLLARS_PER_GIGABYTE_SECOND: f64 = 0.000_016_666_7;
/// Lambda gives one whole core at this memory size, and a share of it below, so that an item costs the
/// same at any size (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>).
const MEGABYTES_OF_ONE_CORE: f64 = 1769.0;

/// All figures.
#[derive(Serialize)]
pub(crate) struct Report {
    bundle: String,
    lanes: Vec<Lane>,
}

/// All figures with one set of instructions.
#[derive(Serialize)]
pub(crate) struct Lane {
    instructions: Instructions,
    speeds: Vec<Speeds>,
    /// Milliseconds from the start of a process to its first score.
    first_score: Spread,
    parts: Parts,
    /// Memory until the first score, in megabytes.
    start_megabytes: Spread,
    /// The most memory of each program after the whole race, in megabytes.
    peak_megabytes: Vec<(&'static str, f64)>,
    /// Byte multiplications a second that one core can do.
    integer_peak: f64,
    /// Per length, the share of that which our items a second come to.
    share_of_peak: Vec<(usize, f64)>,
    /// Per length, dollars that a million items cost on Lambda.
    dollars_per_million: Vec<(usize, f64)>,
}

/// Milliseconds of each part of a start.
#[derive(Serialize)]
struct Parts {
    process: Spread,
    bundle: Spread,
    load: Spread,
    first_score: Spread,
}

impl Lane {
    pub(crate) fn new(
        instructions: Instructions,
        config: &BertConfig,
        speeds: Vec<Speeds>,
        starts: Vec<Start>,
        integer_peak: f64,
        peak_megabytes: Vec<(&'static str, f64)>,
    ) -> Result<Self> {
        let part = |figure: fn(&Start) -> f64| Spread::of(starts.iter().map(figure));
        let ours = |speeds: &Speeds| speeds.contenders[0].items_per_core_second.median;
        let per_length =
            |figure: &dyn Fn(&Speeds) -> f64| speeds.iter().map(|s| (s.tokens, figure(s))).collect();
        Ok(Self {
            instructions,
            first_score: part(Start::total),
            parts: Parts {
                process: part(|start| start.process),
                bundle: part(|start| start.bundle),
                load: part(|start| start.load),
                first_score: part(|start| start.first_score),
            },
            start_megabytes: part(|start| start.megabytes),
            share_of_peak: per_length(&|s| ours(s) * multiplications(config, s.tokens) / integer_peak),
            dollars_per_million: per_length(&|s| dollars_per_million(ours(s))),
            speeds,
            peak_megabytes,
            integer_peak,
        })
    }

    fn print(&self) {
        println!("\n{}\n", self.instructions);
        println!(
            "{:>6}  {:<34} {:>22} {:>16} {:>18}",
            "tokens", "", "items/s/core", "ms an item", "ours is faster"
        );
        for speeds in &self.speeds {
            for speed in &speeds.contenders {
                println!(
                    "{:>6}  {:<34} {:>22} {:>16} {:>18}",
                    speeds.tokens,
                    speed.name,
                    shown(speed.items_per_core_second, 1),
                    format!("{:.2}", speed.milliseconds.median),
                    shown(speed.ours_is_faster, 2),
                );
            }
        }
        println!(
            "\nfirst score after {} ms: process {}, bundle checked {}, loaded {}, scored {}",
            shown(self.first_score, 0),
            shown(self.parts.process, 0),
            shown(self.parts.bundle, 0),
            shown(self.parts.load, 0),
            shown(self.parts.first_score, 1)
        );
        println!("memory until the first score: {} MB", shown(self.start_megabytes, 0));
        for (name, megabytes) in &self.peak_megabytes {
            println!("peak memory of {name}: {megabytes:.0} MB");
        }
        println!("int8 peak of one core: {:.0} billion multiplications a second", self.integer_peak / 1e9);
        for ((tokens, share), (_, dollars)) in self.share_of_peak.iter().zip(&self.dollars_per_million) {
            println!(
                "{tokens:>6} tokens: {:.0} % of the peak, ${dollars:.2} a million items on Lambda",
                share * 100.0
            );
        }
    }
}

impl Report {
    pub(crate) fn new(bundle: String, lanes: Vec<Lane>) -> Self {
        Self { bundle, lanes }
    }

    pub(crate) fn print(&self) {
        println!(
            "bundle {}; medians, with a tenth of the rounds below and above the range in brackets",
            self.bundle
        );
        self.lanes.iter().for_each(Lane::print);
    }
}

fn shown(spread: Spread, digits: usize) -> String {
    format!("{:.digits$} ({:.digits$}–{:.digits$})", spread.median, spread.low, spread.high)
}

fn dollars_per_million(items_per_core_second: f64) -> f64 {
    1e6 / items_per_core_second * MEGABYTES_OF_ONE_CORE / 1024.0 * DOLLARS_PER_GIGABYTE_SECOND
}

/// Multiplications that the linear layers need for a text of so many tokens, scored as one window.
fn multiplications(config: &BertConfig, tokens: usize) -> f64 {
    let (hidden, wide) = (config.hidden_size as f64, config.intermediate_size as f64);
    config.num_hidden_layers as f64 * tokens as f64 * (4.0 * hidden * hidden + 2.0 * hidden * wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_items_of_a_millisecond_cost_three_cents() {
        assert!((dollars_per_million(1000.0) - 0.028_79).abs() < 1e-4);
    }
}
