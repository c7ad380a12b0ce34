use std::collections::BTreeMap;

use modloop_bundle::{Baseline, Chunk, DecisionCounts, GRID, LENGTH_BOUNDS};
use modloop_domain::{Label, ModelVersion};
use modloop_drift::Reference;
use modloop_store::drift::{Counts, Grid, Pair, Target, Window};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Context, MonitorError};

/// What a window is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReferenceKind {
    /// The community's first predictions by this model: its community has class shares of its own.
    Community,
    /// The model's validation set, until the community has enough.
    Model,
}

/// What one target is compared with.
pub(crate) struct Known {
    pub(crate) kind: ReferenceKind,
    /// `None` where it is empty.
    pub(crate) reference: Option<Reference>,
}

/// A community's own reference is split into so many parts, one after the other, so that ordinary change over
/// time shows between them.
const OWN_CHUNKS: u32 = 10;

/// What the targets of one run are compared with.
pub(crate) struct References {
    own: BTreeMap<Pair, Value>,
    baselines: BTreeMap<ModelVersion, Value>,
}

impl References {
    /// Reads the stored references, and stores those that have become complete.
    pub(crate) async fn read<Q>(
        context: &Context<Q>,
        items: u32,
        targets: &[&Target],
        window: Window,
    ) -> Result<Self, MonitorError> {
        let pairs: Vec<Pair> = targets.iter().map(|target| target.pair).collect();
        let mut models: Vec<i16> = pairs.iter().map(|pair| pair.model).collect();
        models.sort_unstable();
        models.dedup();
        let read = async |store: &modloop_store::Store| {
            futures::try_join!(store.references(&pairs, window.start), store.baselines(&models))
        };
        let (mut own, baselines) = context.database.ask(read).await?;
        let missing: Vec<&Target> =
            targets.iter().copied().filter(|target| !own.contains_key(&target.pair)).collect();
        own.extend(complete(context, items, &missing, window).await?);
        Ok(Self { own, baselines })
    }

    /// The community's own reference where it lies before the window, else the model's baseline.
    pub(crate) fn of(&self, target: &Target) -> Result<Known, MonitorError> {
        let unusable = |reason: String| MonitorError::Baseline { model: target.model.clone(), reason };
        if let Some(chunks) = self.own.get(&target.pair) {
            let chunks: Vec<Chunk> =
                serde_json::from_value(chunks.clone()).map_err(|e| unusable(e.to_string()))?;
            return Ok(Known { kind: ReferenceKind::Community, reference: Reference::new(chunks) });
        }
        let json = self.baselines.get(&target.model).cloned().unwrap_or_default();
        let baseline: Baseline = serde_json::from_value(json).map_err(|e| unusable(e.to_string()))?;
        if baseline.grid != GRID {
            return Err(unusable(format!("its grid is {}, expected {GRID}", baseline.grid)));
        }
        Ok(Known { kind: ReferenceKind::Model, reference: Reference::new(baseline.chunks) })
    }
}

/// Makes the references of communities whose first predictions are complete before the window. Happens once
/// for each community and model.
async fn complete<Q>(
    context: &Context<Q>,
    items: u32,
    missing: &[&Target],
    window: Window,
) -> Result<BTreeMap<Pair, Value>, MonitorError> {
    if missing.is_empty() {
        return Ok(BTreeMap::new());
    }
    let bounds = length_bounds();
    let pairs: Vec<Pair> = missing.iter().map(|target| target.pair).collect();
    let complete = context
        .database
        .ask(async |store| store.complete_references(&pairs, items, window.start).await)
        .await?;
    let mut made = BTreeMap::new();
    for target in missing {
        let Some(&before) = complete.get(&target.pair) else { continue };
        let size = (items, OWN_CHUNKS);
        let read = async |store: &modloop_store::Store| {
            store.first_counts(target.pair, before, size, grid(&bounds)).await
        };
        let Some(counts) = context.database.ask(read).await? else { continue };
        let chunks: Vec<Chunk> = counts.into_iter().map(|counts| chunk(counts, &target.labels)).collect();
        let chunks = json!(chunks);
        context.database.ask(async |store| store.save_reference(target.pair, &chunks, before).await).await?;
        made.insert(target.pair, chunks);
    }
    Ok(made)
}

/// The bounds of length buckets, as Postgres takes them.
pub fn length_bounds() -> [i32; LENGTH_BOUNDS.len()] {
    LENGTH_BOUNDS.map(|bound| i32::try_from(bound).unwrap_or(i32::MAX))
}

/// The grid that predictions are counted on.
pub fn grid(length_bounds: &[i32]) -> Grid<'_> {
    Grid { cells: GRID, length_bounds }
}

pub(crate) fn chunk(counts: Counts, labels: &[Label]) -> Chunk {
    let mut scores = counts.scores;
    scores.resize(labels.len(), vec![0; GRID + 1]);
    Chunk {
        items: counts.items,
        scores: labels.iter().cloned().zip(scores).collect(),
        top: counts.top,
        entropy: counts.entropy,
        // Drift counts decisions from `top`, at the same thresholds on both sides.
        decisions: DecisionCounts::default(),
        lengths: counts.lengths,
        tokens: counts.tokens,
        unknown_tokens: counts.unknown_tokens,
    }
}
