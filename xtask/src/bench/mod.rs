//! `bench`: how fast the handler's path scores, next to Python services with the same weights.

mod contenders;
mod environment;
mod measure;
mod report;
pub(crate) mod scale;
mod worker;

use std::path::PathBuf;

use anyhow::{Context, Result};
use modloop_bundle::{BertConfig, Bundle, files};

use self::contenders::{Contender, Race};
use self::environment::Environment;
use self::measure::Speeds;
use self::report::{Lane, Report};
pub(crate) use self::worker::{Worker, run as run_worker};
use crate::layout::Layout;
use crate::progress::spinner;

/// Tokens of a text, the two special ones included.
const LENGTHS: [usize; 5] = [16, 32, 64, 128, 512];
/// Fresh processes whose cold start is measured.
const STARTS: usize = 11;

/// What to measure.
pub(crate) struct Bench {
    /// Fewer rounds.
    pub quick: bool,
    /// Where the figures go as JSON.
    pub json: Option<PathBuf>,
    /// The bundle; the shipped one when none is named.
    pub bundle: Option<PathBuf>,
}

/// Prepares everything, measures with the processor's best instructions and with AVX2 alone, and reports.
pub(crate) async fn run(layout: &Layout, bench: Bench) -> Result<()> {
    let folder = bench.bundle.unwrap_or_else(|| layout.root.join("models/champion"));
    let bundle = Bundle::open(&folder)?;
    let config = BertConfig::read(&bundle.path(files::CONFIG))?;
    let environment = Environment::prepare(layout, &folder).await?;
    let rounds = if bench.quick { 3 } else { 15 };
    if let Some(reason) = environment.not_measured() {
        eprintln!("  AVX2 alone is not measured: {reason}");
    }
    let mut lanes = Vec::new();
    for instructions in environment.instructions() {
        let shown = spinner(&format!("measure with {instructions}"));
        let begun = std::time::Instant::now();
        let lane = measure_lane(&environment, instructions, &config, rounds);
        shown.finish(lane.is_ok(), begun.elapsed().as_secs_f64());
        lanes.push(lane.with_context(|| format!("cannot measure with {instructions}"))?);
    }
    let report = Report::new(bundle.version().to_string(), lanes);
    report.print();
    if let Some(path) = bench.json {
        std::fs::write(&path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Everything with one set of instructions.
fn measure_lane(
    environment: &Environment,
    instructions: environment::Instructions,
    config: &BertConfig,
    rounds: usize,
) -> Result<Lane> {
    let starts = (0..STARTS).map(|_| environment.start_once(instructions)).collect::<Result<Vec<_>>>()?;
    let peak = environment.integer_peak(instructions)?;
    let mut race = Race::new(environment.contenders(instructions)?);
    let speeds: Vec<Speeds> =
        LENGTHS.iter().map(|tokens| race.run(*tokens, rounds)).collect::<Result<_>>()?;
    Lane::new(instructions, config, speeds, starts, peak, race.peak_memory()?)
}

/// The names in the tables, ours first.
pub(crate) fn names(contenders: &[Contender]) -> Vec<&'static str> {
    contenders.iter().map(|contender| contender.name).collect()
}
