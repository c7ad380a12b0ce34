use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::types::Type;

use super::counts::{IN_WINDOW, cells};
use super::{Counts, Grid, Pair, Window, pair};
use crate::row::column;
use crate::{Store, StoreError};

/// How far the closing of buckets has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// One bucket, or a span without predictions before one, was closed; another may be due.
    Closed(DateTime<Utc>),
    /// Every bucket that ended before the given moment is closed.
    UpToDate,
}

/// $1 the moment up to which buckets may be closed, $2 the width in seconds. The next bucket with predictions
/// in it, aligned to the width.
pub(crate) const NEXT: &str = "
    with first as (
        select greatest(b.closed_until, to_timestamp(
            floor(extract(epoch from least($1, coalesce((
                select min(scored_at) from predictions where scored_at >= b.closed_until), $1))) / $2) * $2)) as start
        from bucket_progress b
    )
    select start, start + make_interval(secs => $2) as ends, start + make_interval(secs => $2) <= $1 as is_due
    from first";

/// Bucket and progress in one statement: a bucket is closed once, and a killed process leaves none half
/// closed. Whoever comes second changes nothing. Reads [`IN_WINDOW`]. Flagged items are counted from their
/// decisions, which have the time of their predictions.
fn close_sql() -> String {
    format!(
        "{}, flagged as (
            select community_id, model_id, count(*) as n from decisions
            where at >= $3 and at < $4 and no = 0 and live and outcome <> 'allow' group by 1, 2
        ), progress as (
            update bucket_progress set closed_until = $4 where closed_until <= $3 returning 1
        )
        insert into score_buckets (community_id, model_id, start, items, flagged, tokens, unknown_tokens, kinds,
            cells, n)
        select c.community_id, c.model_id, $3, sum(c.n) filter (where c.kind = 0),
            least(coalesce(max(f.n), 0), sum(c.n) filter (where c.kind = 0)),
            sum(c.tokens), sum(c.unknown_tokens), array_agg(c.kind), array_agg(c.cell), array_agg(c.n::integer)
        from cells c left join flagged f using (community_id, model_id)
        where exists (select from progress)
        group by c.community_id, c.model_id
        on conflict do nothing",
        cells(IN_WINDOW)
    )
}

pub(crate) const BUCKETS: &str = "
    select community_id, model_id, tokens, unknown_tokens, kinds, cells, n
    from score_buckets where start >= $1 and start < $2";

const CLOSING: &str = "closing a bucket of predictions";

impl Store {
    /// Closes the oldest bucket that is due: one that ended before `until`. An hour of predictions takes a few
    /// seconds; a backlog is closed by asking again, and may go on in another process.
    pub async fn close_next_bucket(
        &self,
        until: DateTime<Utc>,
        width: TimeDelta,
        grid: Grid<'_>,
    ) -> Result<Closing, StoreError> {
        let seconds = width.as_seconds_f64();
        let parameters = [(&until as _, Type::TIMESTAMPTZ), (&seconds as _, Type::FLOAT8)];
        let row = self.row(CLOSING, NEXT, &parameters).await?;
        if !column::<bool>(&row, "is_due")? {
            return Ok(Closing::UpToDate);
        }
        let (start, end): (DateTime<Utc>, DateTime<Utc>) = (column(&row, "start")?, column(&row, "ends")?);
        let parameters = [
            (&(grid.cells as f64) as _, Type::FLOAT8),
            (&grid.length_bounds as _, Type::INT4_ARRAY),
            (&start as _, Type::TIMESTAMPTZ),
            (&end as _, Type::TIMESTAMPTZ),
        ];
        self.change(CLOSING, &close_sql(), &parameters).await?;
        Ok(Closing::Closed(end))
    }

    /// Reads a window from closed buckets, for all communities.
    pub async fn read_window(
        &self,
        window: Window,
        grid: Grid<'_>,
    ) -> Result<BTreeMap<Pair, Counts>, StoreError> {
        let parameters = [(&window.start as _, Type::TIMESTAMPTZ), (&window.end as _, Type::TIMESTAMPTZ)];
        let mut counts = BTreeMap::new();
        for row in self.rows("reading buckets of predictions", BUCKETS, &parameters).await? {
            let counts: &mut Counts = counts.entry(pair(&row)?).or_insert_with(|| Counts::none(grid));
            let (kinds, cells): (Vec<i16>, Vec<i16>) = (column(&row, "kinds")?, column(&row, "cells")?);
            let n: Vec<i32> = column(&row, "n")?;
            for ((kind, cell), n) in kinds.into_iter().zip(cells).zip(n) {
                counts.add(kind, cell, u64::from(n.unsigned_abs()))?;
            }
            counts.tokens += column::<i64>(&row, "tokens")?.unsigned_abs();
            counts.unknown_tokens += column::<i64>(&row, "unknown_tokens")?.unsigned_abs();
        }
        Ok(counts)
    }
}
