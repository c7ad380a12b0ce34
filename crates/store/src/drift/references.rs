use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use modloop_domain::ModelVersion;
use serde_json::Value;
use tokio_postgres::types::Type;

use super::counts::cells;
use super::{Counts, Grid, Pair, pair};
use crate::row::{column, count, parsed};
use crate::{Store, StoreError};

/// When a community's first $3 predictions by a model were complete: $1 communities, $2 models, $4 before which
/// moment. Only those that have so many. Closed buckets are read first; what came after them counts as one more.
const COMPLETE: &str = "
    with wanted as (
        select * from unnest($1::integer[], $2::smallint[]) as w(community_id, model_id)
    ), counted as (
        select b.community_id, b.model_id, b.start, b.items::bigint as items
        from score_buckets b join wanted w using (community_id, model_id)
        where b.start < $4
        union all
        select p.community_id, p.model_id, min(g.closed_until), count(*)
        from bucket_progress g join predictions p on p.scored_at >= g.closed_until and p.scored_at < $4
            join wanted w using (community_id, model_id)
        where p.live and p.decides
        group by 1, 2
    ), running as (
        select community_id, model_id, start,
            sum(items) over (partition by community_id, model_id order by start) as items,
            lead(start) over (partition by community_id, model_id order by start) as next
        from counted
    )
    select community_id, model_id, coalesce(min(next) filter (where items >= $3), $4) as ends
    from running group by 1, 2 having max(items) >= $3";

/// The first $6 live predictions of a pair ($3, $4) before $5, in $7 parts of equal size one after the other.
const FIRST: &str = "
    select community_id, model_id,
        (row_number() over (order by scored_at, item_id, content_hash) - 1) * $7 / $6 as chunk,
        scores, tokens, unknown_tokens
    from (
        select * from predictions
        where community_id = $3 and model_id = $4 and live and decides and scored_at < $5
        order by scored_at, item_id, content_hash limit $6) f";

const STORED: &str = "
    select r.community_id, r.model_id, r.chunks
    from drift_references r
        join unnest($1::integer[], $2::smallint[]) as w(community_id, model_id) using (community_id, model_id)
    where r.made_at < $3";

const SAVE: &str = "
    insert into drift_references (community_id, model_id, chunks, made_at) values ($1, $2, $3, $4)
    on conflict do nothing";

const DOING: &str = "reading what windows are compared with";

impl Store {
    /// The stored references of these pairs, as the monitor wrote them: only those whose items lie before
    /// `before`.
    pub async fn references(
        &self,
        pairs: &[Pair],
        before: DateTime<Utc>,
    ) -> Result<BTreeMap<Pair, Value>, StoreError> {
        let (communities, models) = columns(pairs);
        let parameters = [
            (&communities as _, Type::INT4_ARRAY),
            (&models as _, Type::INT2_ARRAY),
            (&before as _, Type::TIMESTAMPTZ),
        ];
        let rows = self.rows(DOING, STORED, &parameters).await?;
        rows.iter().map(|row| Ok((pair(row)?, column(row, "chunks")?))).collect()
    }

    /// Of these pairs, those that have `items` predictions in closed buckets before `before`, and since when.
    pub async fn complete_references(
        &self,
        pairs: &[Pair],
        items: u32,
        before: DateTime<Utc>,
    ) -> Result<BTreeMap<Pair, DateTime<Utc>>, StoreError> {
        let (communities, models) = columns(pairs);
        let parameters = [
            (&communities as _, Type::INT4_ARRAY),
            (&models as _, Type::INT2_ARRAY),
            (&i64::from(items) as _, Type::INT8),
            (&before as _, Type::TIMESTAMPTZ),
        ];
        let rows = self.rows(DOING, COMPLETE, &parameters).await?;
        rows.iter().map(|row| Ok((pair(row)?, column(row, "ends")?))).collect()
    }

    /// Counts the first `items` predictions of a pair, in `chunks` parts of equal size one after the other.
    /// `None` until there are so many from before `before`.
    pub async fn first_counts(
        &self,
        of: Pair,
        before: DateTime<Utc>,
        (items, chunks): (u32, u32),
        grid: Grid<'_>,
    ) -> Result<Option<Vec<Counts>>, StoreError> {
        let sql = format!("{} select chunk, kind, cell, n, tokens, unknown_tokens from cells", cells(FIRST));
        let parameters = [
            (&(grid.cells as f64) as _, Type::FLOAT8),
            (&grid.length_bounds as _, Type::INT4_ARRAY),
            (&of.community as _, Type::INT4),
            (&of.model as _, Type::INT2),
            (&before as _, Type::TIMESTAMPTZ),
            (&i64::from(items) as _, Type::INT8),
            (&i64::from(chunks) as _, Type::INT8),
        ];
        let mut counted = vec![Counts::none(grid); chunks as usize];
        for row in self.rows(DOING, &sql, &parameters).await? {
            let at = usize::try_from(column::<i64>(&row, "chunk")?).unwrap_or(usize::MAX);
            let chunk = counted.get_mut(at).ok_or_else(|| StoreError::corrupt("a chunk out of place"))?;
            chunk.add(column(&row, "kind")?, column(&row, "cell")?, count(&row, "n")?)?;
            chunk.tokens += count(&row, "tokens")?;
            chunk.unknown_tokens += count(&row, "unknown_tokens")?;
        }
        let total: u64 = counted.iter().map(|chunk| chunk.items).sum();
        Ok((total == u64::from(items)).then_some(counted))
    }

    /// Stores a reference, once: `made_at` is when its last item was complete. May be repeated.
    pub async fn save_reference(
        &self,
        of: Pair,
        chunks: &Value,
        made_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let parameters = [
            (&of.community as _, Type::INT4),
            (&of.model as _, Type::INT2),
            (chunks as _, Type::JSONB),
            (&made_at as _, Type::TIMESTAMPTZ),
        ];
        self.change("storing what windows are compared with", SAVE, &parameters).await.map(drop)
    }

    /// The baselines of these models, as their bundles wrote them.
    pub async fn baselines(&self, models: &[i16]) -> Result<BTreeMap<ModelVersion, Value>, StoreError> {
        let sql = "select version, baseline from models where id = any($1)";
        let rows = self.rows(DOING, sql, &[(&models as _, Type::INT2_ARRAY)]).await?;
        rows.iter().map(|row| Ok((parsed(row, "version")?, column(row, "baseline")?))).collect()
    }
}

pub(super) fn columns(pairs: &[Pair]) -> (Vec<i32>, Vec<i16>) {
    pairs.iter().map(|pair| (pair.community, pair.model)).unzip()
}
