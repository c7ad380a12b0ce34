use modloop_domain::ModelVersion;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::row::{column, count, parsed};
use crate::{Store, StoreError};

/// What one batch adds to the health of a model on trial, or of the champion beside it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthEntry {
    /// Whose health.
    pub model: ModelVersion,
    /// Texts it scored.
    pub items: u64,
    /// Texts it could not score.
    pub failed: u64,
    /// Its bundle could not be loaded.
    pub load_failures: u64,
    /// Time that scoring took.
    pub milliseconds: f64,
}

/// Sums over a trial.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Health {
    /// Texts scored.
    pub items: u64,
    /// Texts that could not be scored.
    pub failed: u64,
    /// Times that its bundle could not be loaded.
    pub load_failures: u64,
    /// Time that scoring took.
    pub milliseconds: f64,
}

/// What a trial has shown so far. Both models scored the same texts.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TrialNumbers {
    /// Hours since the mode began.
    pub hours: f64,
    /// Texts that both scored.
    pub pairs: u64,
    /// Of them, flagged by the champion.
    pub champion_flagged: u64,
    /// Of them, flagged by the challenger.
    pub challenger_flagged: u64,
    /// Labels known of texts that both scored, on which only the champion was right.
    pub only_champion_right: u64,
    /// On which only the challenger was right.
    pub only_challenger_right: u64,
    /// Of the champion beside it.
    pub champion: Health,
    /// Of the challenger.
    pub challenger: Health,
}

/// $1 challenger, $2 champion. Predictions are counted from the moment the mode began, at the thresholds of
/// now on both sides.
const NUMBERS: &str = "
    with alias as (
        select a.updated_at, m.id, m.labels
        from model_aliases a join models m on m.id = a.model_id where a.alias = 'challenger' and m.version = $1
    ), pairs as (
        select c.item_id, c.content_hash, c.scores as challenger, p.scores as champion,
            a.labels as challenger_labels, m.labels as champion_labels, po.thresholds
        from alias a join models m on m.version = $2
            join predictions c on c.model_id = a.id and c.scored_at >= a.updated_at
            join predictions p on p.part = c.part and p.item_id = c.item_id
                and p.content_hash = c.content_hash and p.model_id = m.id
            join communities co on co.id = c.community_id join policies po on po.id = co.policy_id
    ), judged as (
        select (challenger[array_position(challenger_labels, t.label)] >= review_threshold(thresholds, t.label))
                = t.value as challenger_right,
            (champion[array_position(champion_labels, t.label)] >= review_threshold(thresholds, t.label))
                = t.value as champion_right
        from pairs join label_truth t using (item_id, content_hash)
    )
    select extract(epoch from now() - a.updated_at)::float8 / 3600 as hours,
        (select count(*) from pairs) as pairs,
        (select count(*) from pairs where is_flagged(champion, champion_labels, thresholds)) as champion_flagged,
        (select count(*) from pairs where is_flagged(challenger, challenger_labels, thresholds))
            as challenger_flagged,
        (select count(*) from judged where champion_right and not challenger_right) as only_champion_right,
        (select count(*) from judged where challenger_right and not champion_right) as only_challenger_right
    from alias a";

const HEALTH: &str = "
    select m.version, sum(h.items)::bigint as items, sum(h.failed)::bigint as failed,
        sum(h.load_failures)::bigint as load_failures, sum(h.milliseconds) as milliseconds
    from trial_health h join models m on m.id = h.model_id
        join model_aliases a on a.alias = 'challenger' and a.model_id = h.challenger_id and a.mode = h.mode
        join models c on c.id = h.challenger_id
    where c.version = $1 and h.at >= a.updated_at
    group by m.version";

const DOING: &str = "reading how a trial goes";

impl Store {
    /// What the challenger's trial has shown in its present mode; `None` when it is not on trial.
    pub async fn trial_numbers(
        &self,
        challenger: &ModelVersion,
        champion: &ModelVersion,
    ) -> Result<Option<TrialNumbers>, StoreError> {
        let (own, other) = (challenger.as_str(), champion.as_str());
        let parameters = [(&own as _, Type::TEXT), (&other as _, Type::TEXT)];
        let Some(row) = self.row_or_none(DOING, NUMBERS, &parameters).await? else {
            return Ok(None);
        };
        let mut numbers = TrialNumbers {
            hours: column(&row, "hours")?,
            pairs: count(&row, "pairs")?,
            champion_flagged: count(&row, "champion_flagged")?,
            challenger_flagged: count(&row, "challenger_flagged")?,
            only_champion_right: count(&row, "only_champion_right")?,
            only_challenger_right: count(&row, "only_challenger_right")?,
            ..TrialNumbers::default()
        };
        for row in self.rows(DOING, HEALTH, &[(&own, Type::TEXT)]).await? {
            let of: ModelVersion = parsed(&row, "version")?;
            if of == *challenger {
                numbers.challenger = health(&row)?;
            } else if of == *champion {
                numbers.champion = health(&row)?;
            }
        }
        Ok(Some(numbers))
    }
}

fn health(row: &Row) -> Result<Health, StoreError> {
    Ok(Health {
        items: count(row, "items")?,
        failed: count(row, "failed")?,
        load_failures: count(row, "load_failures")?,
        milliseconds: column(row, "milliseconds")?,
    })
}
