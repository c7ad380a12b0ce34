use chrono::{DateTime, Utc};
use modloop_domain::Label;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{Target, Window, count};
use crate::{Store, StoreError};

/// How numbers are put into cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid<'a> {
    /// A number p from 0 to 1 counts in cell round(p · cells): there are `cells + 1` of them.
    pub cells: usize,
    /// Lower bounds, in tokens, of all length buckets but the first; ascending.
    pub length_bounds: &'a [i32],
}

/// Predictions that decide, counted. As small for ten million of them as for ten.
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

/// Labelled items of one label, counted against their scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelOutcomes {
    /// The label.
    pub label: Label,
    /// The score was at the review threshold or above it.
    pub predicted: bool,
    /// What the labelling says; a person outranks an LLM.
    pub actual: bool,
    /// How many.
    pub items: u64,
}

/// $1 subreddit, $2 model, $3 is the query's own.
pub(crate) const IN_WINDOW: &str = "
    select 0::bigint as chunk, scores, top_score, entropy, tokens, unknown_tokens
    from predictions
    where subreddit_id = $1 and model_version = $2 and decides and scored_at >= $4 and scored_at < $5";

/// The first $5 before $4, in $6 parts of equal size one after the other.
pub(crate) const FIRST_BEFORE: &str = "
    select (row_number() over (order by scored_at, fullname, content_hash) - 1) * $6 / $5 as chunk,
        scores, top_score, entropy, tokens, unknown_tokens
    from (
        select * from predictions
        where subreddit_id = $1 and model_version = $2 and decides and scored_at < $4
        order by scored_at, fullname, content_hash
        limit $5) f";

/// `floor(x + 0.5)` instead of `round(x)`: Postgres rounds halves to even, the bundle rounds them up.
pub(crate) fn histograms(source: &str) -> String {
    format!(
        "select c.chunk, k.kind, floor(k.value::float8 * $3::float8 + 0.5)::bigint as cell, count(*) as items
         from ({source}) c
             cross join lateral unnest(array[c.top_score, c.entropy] || c.scores) with ordinality as k(value, kind)
         group by 1, 2, 3"
    )
}

fn lengths(source: &str) -> String {
    format!(
        "select c.chunk, width_bucket(c.tokens, $3::integer[])::bigint as bucket, count(*) as items,
             sum(c.tokens)::bigint as tokens, sum(c.unknown_tokens)::bigint as unknown_tokens
         from ({source}) c
         group by 1, 2"
    )
}

/// Only labels of the text that was scored count.
pub(crate) const OUTCOMES: &str = "
    with truth as (
        select distinct on (l.fullname, l.content_hash, l.label)
            l.label, l.value, p.scores[array_position(m.labels, l.label)] as score
        from predictions p
            join models m on m.version = p.model_version
            join labels l on l.fullname = p.fullname and l.content_hash = p.content_hash
        where p.subreddit_id = $1 and p.model_version = $2 and p.decides
            and p.scored_at >= $4 and p.scored_at < $5
        order by l.fullname, l.content_hash, l.label, (l.source = 'human') desc
    )
    select label, score >= $3 as predicted, value as actual, count(*) as items
    from truth where score is not null
    group by 1, 2, 3";

const COUNTING: &str = "counting predictions";

impl Store {
    /// Counts the window's predictions. Postgres does the counting and answers with a few hundred rows.
    pub async fn window_counts(
        &self,
        target: &Target,
        window: Window,
        grid: Grid<'_>,
    ) -> Result<Counts, StoreError> {
        let chunks = self.counts(target, grid, IN_WINDOW, &[&window.start, &window.end], 1).await?;
        Ok(chunks.into_iter().next().unwrap_or_else(|| Counts::none(target, grid)))
    }

    /// Counts the first `items` predictions, in `chunks` parts of equal size one after the other. `None`
    /// until there are so many from before `before`.
    pub async fn first_counts(
        &self,
        target: &Target,
        before: DateTime<Utc>,
        (items, chunks): (u32, u32),
        grid: Grid<'_>,
    ) -> Result<Option<Vec<Counts>>, StoreError> {
        let (limit, parts) = (i64::from(items), i64::from(chunks));
        let counts =
            self.counts(target, grid, FIRST_BEFORE, &[&before, &limit, &parts], chunks as usize).await?;
        let counted: u64 = counts.iter().map(|chunk| chunk.items).sum();
        Ok((counted == u64::from(items)).then_some(counts))
    }

    /// Counts labelled items of the window by what was predicted and what is true.
    pub async fn outcomes(&self, target: &Target, window: Window) -> Result<Vec<LabelOutcomes>, StoreError> {
        let (model, review) = (target.model.as_str(), target.thresholds.review().get());
        let error = StoreError::query("counting labelled items");
        let parameters: [&(dyn ToSql + Sync); 5] =
            [&target.subreddit_id, &model, &review, &window.start, &window.end];
        let rows = self.client.query(OUTCOMES, &parameters).await.map_err(&error)?;
        rows.iter().map(outcome).collect()
    }

    /// `own` are the source's parameters, $4 and on.
    async fn counts(
        &self,
        target: &Target,
        grid: Grid<'_>,
        source: &str,
        own: &[&(dyn ToSql + Sync)],
        chunks: usize,
    ) -> Result<Vec<Counts>, StoreError> {
        let error = StoreError::query(COUNTING);
        let (model, cells) = (target.model.as_str(), grid.cells as f64);
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&target.subreddit_id, &model, &cells];
        parameters.extend(own);
        let in_cells = self.client.query(&histograms(source), &parameters).await.map_err(&error)?;
        parameters[2] = &grid.length_bounds;
        let in_buckets = self.client.query(&lengths(source), &parameters).await.map_err(&error)?;

        let mut counts = vec![Counts::none(target, grid); chunks];
        for row in in_cells {
            let (kind, items) = (index(&row, "kind")?, count(&row, "items")?);
            let (chunk, cell) = (index(&row, "chunk")?, index(&row, "cell")?);
            let place = counts.get_mut(chunk).and_then(|c| c.histogram(kind)).and_then(|h| h.get_mut(cell));
            *place.ok_or_else(|| out_of_place(target))? = items;
        }
        for row in in_buckets {
            let chunk = counts.get_mut(index(&row, "chunk")?).ok_or_else(|| out_of_place(target))?;
            let bucket = chunk.lengths.get_mut(index(&row, "bucket")?).ok_or_else(|| out_of_place(target))?;
            *bucket = count(&row, "items")?;
            chunk.items += *bucket;
            chunk.tokens += count(&row, "tokens")?;
            chunk.unknown_tokens += count(&row, "unknown_tokens")?;
        }
        Ok(counts)
    }
}

impl Counts {
    fn none(target: &Target, grid: Grid<'_>) -> Self {
        let cells = vec![0; grid.cells + 1];
        Self {
            items: 0,
            scores: vec![cells.clone(); target.labels.len()],
            top: cells.clone(),
            entropy: cells,
            lengths: vec![0; grid.length_bounds.len() + 1],
            tokens: 0,
            unknown_tokens: 0,
        }
    }

    /// The place of a number in the array that the query unnests, from 1.
    fn histogram(&mut self, kind: usize) -> Option<&mut Vec<u64>> {
        match kind {
            1 => Some(&mut self.top),
            2 => Some(&mut self.entropy),
            _ => self.scores.get_mut(kind.checked_sub(3)?),
        }
    }
}

/// A negative index is as much out of place as one that is too large.
fn index(row: &Row, column: &str) -> Result<usize, StoreError> {
    let index: i64 = row.try_get(column).map_err(StoreError::query(COUNTING))?;
    Ok(usize::try_from(index).unwrap_or(usize::MAX))
}

fn out_of_place(target: &Target) -> StoreError {
    let Target { subreddit, model, .. } = target;
    StoreError::corrupt(format!(
        "predictions of model {model} in r/{subreddit} with other than one score from 0 to 1 for each label"
    ))
}

fn outcome(row: &Row) -> Result<LabelOutcomes, StoreError> {
    let error = StoreError::query("counting labelled items");
    let label: &str = row.try_get("label").map_err(&error)?;
    Ok(LabelOutcomes {
        label: label
            .parse()
            .map_err(|e| StoreError::corrupt(format!("a label whose name is refused: {e}")))?,
        predicted: row.try_get("predicted").map_err(&error)?,
        actual: row.try_get("actual").map_err(&error)?,
        items: count(row, "items")?,
    })
}
