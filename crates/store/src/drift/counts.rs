use std::collections::BTreeMap;

use tokio_postgres::types::Type;

use super::{Pair, Window, pair};
use crate::row::{column, count};
use crate::{Store, StoreError};

/// How numbers are put into cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid<'a> {
    /// A number p from 0 to 1 counts in cell round(p · cells): there are `cells + 1` of them.
    pub cells: usize,
    /// Lower bounds, in tokens, of all length buckets but the first; ascending.
    pub length_bounds: &'a [i32],
}

/// Predictions that decided, counted. As small for ten million of them as for ten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// How many.
    pub items: u64,
    /// For each of the model's labels, in its order, a histogram of scores.
    pub scores: Vec<Vec<u64>>,
    /// Histogram of the highest score of each item.
    pub top: Vec<u64>,
    /// Histogram of the entropy.
    pub entropy: Vec<u64>,
    /// Items by length bucket.
    pub lengths: Vec<u64>,
    /// Tokens of all items together.
    pub tokens: u64,
    /// Those the vocabulary does not know.
    pub unknown_tokens: u64,
}

/// The predictions of a window: $3 start, $4 end.
pub(crate) const IN_WINDOW: &str = "
    select community_id, model_id, 0::bigint as chunk, scores, tokens, unknown_tokens
    from predictions where live and decides and scored_at >= $3 and scored_at < $4";

/// What of `source` fell into which cell: $1 cells, $2 length bounds. Kinds: 0 length bucket, 1 highest
/// score, 2 entropy in bits (mean over labels), 3 and up the labels. `floor(x + 0.5)` instead of `round(x)`:
/// Postgres rounds halves to even, the bundle rounds them up.
pub(crate) fn cells(source: &str) -> String {
    format!(
        "with raw as ({source}), cells as (
            select c.community_id, c.model_id, c.chunk, k.kind::smallint as kind,
                floor(k.value * $1::float8 + 0.5)::smallint as cell, count(*) as n, 0::bigint as tokens,
                0::bigint as unknown_tokens
            from raw c
                cross join lateral (
                    select max(s) as top, avg(case when s > 0 and s < 1
                        then -(s * ln(s) + (1 - s) * ln(1 - s)) / ln(2::float8) else 0 end) as entropy
                    from unnest(c.scores::float8[]) as s) h
                cross join lateral unnest(array[h.top, h.entropy] || c.scores::float8[])
                    with ordinality as k(value, kind)
            group by 1, 2, 3, 4, 5
            union all
            select community_id, model_id, chunk, 0::smallint, width_bucket(tokens, $2::integer[])::smallint,
                count(*), sum(tokens)::bigint, sum(unknown_tokens)::bigint
            from raw group by 1, 2, 3, 5
        )"
    )
}

impl Store {
    /// Counts the predictions of any past window from the rows themselves, for all communities. For windows
    /// that somebody asks for; the scheduled ones are read from buckets.
    pub async fn count_window(
        &self,
        window: Window,
        grid: Grid<'_>,
    ) -> Result<BTreeMap<Pair, Counts>, StoreError> {
        let sql = format!(
            "{} select community_id, model_id, kind, cell, n, tokens, unknown_tokens from cells",
            cells(IN_WINDOW)
        );
        let parameters = [
            (&(grid.cells as f64) as _, Type::FLOAT8),
            (&grid.length_bounds as _, Type::INT4_ARRAY),
            (&window.start as _, Type::TIMESTAMPTZ),
            (&window.end as _, Type::TIMESTAMPTZ),
        ];
        let mut counts = BTreeMap::new();
        for row in self.rows("counting predictions", &sql, &parameters).await? {
            let counts = counts.entry(pair(&row)?).or_insert_with(|| Counts::none(grid));
            counts.add(column(&row, "kind")?, column(&row, "cell")?, count(&row, "n")?)?;
            counts.tokens += count(&row, "tokens")?;
            counts.unknown_tokens += count(&row, "unknown_tokens")?;
        }
        Ok(counts)
    }
}

impl Counts {
    /// Nothing counted yet.
    pub(crate) fn none(grid: Grid<'_>) -> Self {
        let cells = vec![0; grid.cells + 1];
        Self {
            items: 0,
            scores: Vec::new(),
            top: cells.clone(),
            entropy: cells,
            lengths: vec![0; grid.length_bounds.len() + 1],
            tokens: 0,
            unknown_tokens: 0,
        }
    }

    /// Counts `n` items of a kind in a cell. Kinds are those of [`cells`].
    pub(crate) fn add(&mut self, kind: i16, cell: i16, n: u64) -> Result<(), StoreError> {
        let width = self.top.len();
        let histogram = match kind {
            0 => {
                self.items += n;
                &mut self.lengths
            }
            1 => &mut self.top,
            2 => &mut self.entropy,
            label => {
                let at = usize::try_from(label - 3).unwrap_or_default();
                if self.scores.len() <= at {
                    self.scores.resize(at + 1, vec![0; width]);
                }
                &mut self.scores[at]
            }
        };
        let place = usize::try_from(cell).ok().and_then(|cell| histogram.get_mut(cell));
        let out_of_place = || StoreError::corrupt(format!("a count of kind {kind} in cell {cell}"));
        *place.ok_or_else(out_of_place)? += n;
        Ok(())
    }
}
