use std::collections::HashMap;

use modloop_bundle::{Baseline, Chunk, DecisionCounts, GRID, LENGTH_BOUNDS};
use modloop_domain::{Label, ModelVersion};
use modloop_drift::Reference;
use modloop_store::{Counts, Database, Grid, Target, Window};
use serde::Serialize;

use crate::MonitorError;

/// What a window is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReferenceKind {
    /// The subreddit's first predictions by this model: its community has class shares of its own.
    Subreddit,
    /// The model's validation set, until the subreddit has enough.
    Model,
}

/// A subreddit's own reference is split into so many parts, one after the other, so that ordinary change over
/// time shows between them.
const OWN_CHUNKS: u32 = 10;

/// Where references come from, for one run. A model's baseline is read once.
pub(crate) struct References {
    own_items: u32,
    baselines: HashMap<ModelVersion, Baseline>,
}

impl References {
    /// A subreddit's own reference is its first `own_items` predictions.
    pub(crate) fn new(own_items: u32) -> Self {
        Self { own_items, baselines: HashMap::new() }
    }

    /// The subreddit's own reference where it lies before the window, else the model's baseline. `None` where
    /// that is empty.
    pub(crate) async fn reference(
        &mut self,
        database: &Database,
        target: &Target,
        window: Window,
    ) -> Result<(ReferenceKind, Option<Reference>), MonitorError> {
        let bounds = length_bounds();
        let size = (self.own_items, OWN_CHUNKS);
        let own = database
            .ask(async |store| store.first_counts(target, window.start, size, grid(&bounds)).await)
            .await?;
        if let Some(chunks) = own {
            let chunks = chunks.into_iter().map(|counts| chunk(counts, &target.labels)).collect();
            return Ok((ReferenceKind::Subreddit, Reference::new(chunks)));
        }
        if !self.baselines.contains_key(&target.model) {
            let baseline = read_baseline(database, &target.model).await?;
            self.baselines.insert(target.model.clone(), baseline);
        }
        let chunks =
            self.baselines.get(&target.model).map(|baseline| baseline.chunks.clone()).unwrap_or_default();
        Ok((ReferenceKind::Model, Reference::new(chunks)))
    }
}

/// Counts the window on the same grid.
pub(crate) async fn count_window(
    database: &Database,
    target: &Target,
    window: Window,
) -> Result<Chunk, MonitorError> {
    let bounds = length_bounds();
    let counts = database.ask(async |store| store.window_counts(target, window, grid(&bounds)).await).await?;
    Ok(chunk(counts, &target.labels))
}

async fn read_baseline(database: &Database, model: &ModelVersion) -> Result<Baseline, MonitorError> {
    let unusable = |reason: String| MonitorError::Baseline { model: model.clone(), reason };
    let json = database.ask(async |store| store.baseline(model).await).await?;
    let baseline: Baseline = serde_json::from_value(json).map_err(|e| unusable(e.to_string()))?;
    if baseline.grid == GRID {
        Ok(baseline)
    } else {
        Err(unusable(format!("its grid is {}, expected {GRID}", baseline.grid)))
    }
}

fn length_bounds() -> [i32; LENGTH_BOUNDS.len()] {
    LENGTH_BOUNDS.map(|bound| i32::try_from(bound).unwrap_or(i32::MAX))
}

fn grid(length_bounds: &[i32]) -> Grid<'_> {
    Grid { cells: GRID, length_bounds }
}

fn chunk(counts: Counts, labels: &[Label]) -> Chunk {
    Chunk {
        items: counts.items,
        scores: labels.iter().cloned().zip(counts.scores).collect(),
        top: counts.top,
        entropy: counts.entropy,
        // Drift counts decisions from `top`, at the same thresholds on both sides.
        decisions: DecisionCounts::default(),
        lengths: counts.lengths,
        tokens: counts.tokens,
        unknown_tokens: counts.unknown_tokens,
    }
}
