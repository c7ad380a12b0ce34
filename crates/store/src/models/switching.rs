use chrono::{DateTime, Utc};
use modloop_domain::{ModelVersion, Probability, RunState};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::ChallengerMode;
use crate::row::{column, parsed, parsed_or_none};
use crate::runs::{Change, Run, TELL, moved};
use crate::{Store, StoreError};

/// How a trial begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrialStart {
    /// What the challenger may do.
    pub mode: ChallengerMode,
    /// The share of items it does it for.
    pub share: Probability,
}

/// What a switch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SwitchAction {
    /// A challenger began to score beside the champion.
    Shadow,
    /// A challenger began to decide for a share of items.
    Canary,
    /// A model became the champion.
    Promote,
    /// An earlier model became the champion again.
    Rollback,
    /// A challenger's trial ended.
    Withdraw,
}

/// A change of an alias.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Switch {
    /// Counts up.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// What was done.
    pub action: SwitchAction,
    /// The champion before.
    pub from_version: Option<ModelVersion>,
    /// The champion after.
    pub to_version: Option<ModelVersion>,
    /// The model on trial that it concerns.
    pub challenger: Option<ModelVersion>,
    /// By which run.
    pub run_id: Option<i64>,
    /// By whom.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// A model that is known, with what it does now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KnownModel {
    /// Names it.
    pub version: ModelVersion,
    /// `champion`, `shadow` or `canary`; `None` when it does nothing.
    pub role: Option<String>,
    /// The share of items that a model on trial scores.
    pub share: Option<f32>,
    /// The run that made it; `None` for one of a release or by hand.
    pub run_id: Option<i64>,
    /// Where its bundle lies; `None` when it ships inside the function.
    pub bundle_uri: Option<String>,
    /// Since when it is known.
    pub registered_at: DateTime<Utc>,
}

/// The champion's version; without an alias the model that ships inside the function, the last one made known.
const CHAMPION: &str = "
    coalesce((select m.version from model_aliases a join models m on m.id = a.model_id where a.alias = 'champion'),
        (select version from models where bundle_uri is null order by registered_at desc limit 1))";

/// Only while the alias is the run's own: a person may have withdrawn it.
const STILL_ON_TRIAL: &str = "and exists (
    select from model_aliases a join models m on m.id = a.model_id
    where a.alias = 'challenger' and m.version = r.challenger_version)";

/// Every switch is in the audit log too. Reads `noted`, which returns the switch.
pub(super) const AUDIT: &str = "
    audited as (
        insert into audit (actor, action, subject, before, after)
        select actor, 'model.' || action, 'model:' || coalesce(challenger, to_version, 'shipped'),
            jsonb_build_object('champion', from_version),
            jsonb_build_object('champion', to_version, 'share', share)
        from noted
    )";

pub(super) const NOTED: &str = "returning actor, action, challenger, from_version, to_version, share";

/// $7 mode, $8 share.
fn start_sql() -> String {
    format!(
        "with moved as ({}), told as ({TELL}), pointed as (
            insert into model_aliases (alias, model_id, mode, share, updated_at)
            select 'challenger', m.id, $7, $8, now() from moved join models m on m.version = challenger_version
            on conflict (alias) do update set model_id = excluded.model_id, mode = excluded.mode,
                share = excluded.share, updated_at = excluded.updated_at
        ), noted as (
            insert into model_switches (action, from_version, to_version, challenger, share, run_id, actor, reason)
            select $7, {CHAMPION}, {CHAMPION}, challenger_version, $8, id, 'run:' || id, $5 from moved {NOTED}
        ), {AUDIT} select * from moved",
        moved("")
    )
}

fn promote_sql() -> String {
    format!(
        "with moved as ({}), told as ({TELL}), noted as (
            insert into model_switches (action, from_version, to_version, challenger, run_id, actor, reason)
            select 'promote', {CHAMPION}, challenger_version, challenger_version, id, 'run:' || id, $5
            from moved {NOTED}
        ), pointed as (
            insert into model_aliases (alias, model_id, mode, share, updated_at)
            select 'champion', m.id, 'champion', 1, now() from moved join models m on m.version = challenger_version
            on conflict (alias) do update
            set model_id = excluded.model_id, updated_at = excluded.updated_at
        ), freed as (
            delete from model_aliases a using moved, models m
            where a.alias = 'challenger' and a.model_id = m.id and m.version = moved.challenger_version
        ), {AUDIT} select * from moved",
        moved(STILL_ON_TRIAL)
    )
}

fn withdraw_sql() -> String {
    format!(
        "with moved as ({}), told as ({TELL}), freed as (
            delete from model_aliases a using moved, models m
            where a.alias = 'challenger' and a.model_id = m.id and m.version = moved.challenger_version
            returning moved.id, moved.challenger_version
        ), noted as (
            insert into model_switches (action, from_version, to_version, challenger, run_id, actor, reason)
            select 'withdraw', {CHAMPION}, {CHAMPION}, challenger_version, id, 'run:' || id, $5 from freed {NOTED}
        ), {AUDIT} select * from moved",
        moved("")
    )
}

fn known_sql() -> String {
    format!(
        "select m.version, m.bundle_uri, m.registered_at, r.id as run_id, a.share,
            case when a.mode is not null then a.mode when m.version = c.version then 'champion' end as role
        from models m cross join (select {CHAMPION} as version) c
            left join model_aliases a on a.model_id = m.id
            left join runs r on r.challenger_version = m.version
        order by m.registered_at desc, m.version desc"
    )
}

const SWITCHES: &str = "
    select id, at, action, from_version, to_version, challenger, run_id, actor, reason from model_switches";

pub(super) const DOING: &str = "switching models";

impl Store {
    /// Moves a run into shadow or canary: state, alias, story and audit in one statement. `None`: the run is
    /// not in `from` any more, and nothing was changed.
    pub async fn start_trial(
        &self,
        id: i64,
        from: RunState,
        start: TrialStart,
        change: Change<'_>,
    ) -> Result<Option<Run>, StoreError> {
        let to = match start.mode {
            ChallengerMode::Shadow => RunState::Shadow,
            ChallengerMode::Canary => RunState::Canary,
        };
        let (mode, share) = (start.mode.as_str(), start.share.get());
        let trial = [(&mode as _, Type::TEXT), (&share as _, Type::FLOAT4)];
        self.take_step(DOING, &start_sql(), id, (from, to), change, &trial).await
    }

    /// The challenger takes over: state, aliases, story and audit in one statement. `None`: the run is not
    /// in canary, or its challenger was withdrawn.
    pub async fn promote_challenger(&self, id: i64, change: Change<'_>) -> Result<Option<Run>, StoreError> {
        let step = (RunState::Canary, RunState::Champion);
        self.take_step(DOING, &promote_sql(), id, step, change, &[]).await
    }

    /// The challenger's trial ends, and the run with it in `to`; the champion was never away. One statement,
    /// as above.
    pub async fn withdraw_challenger(
        &self,
        id: i64,
        (from, to): (RunState, RunState),
        change: Change<'_>,
    ) -> Result<Option<Run>, StoreError> {
        self.take_step(DOING, &withdraw_sql(), id, (from, to), change, &[]).await
    }

    /// The model that decides: the alias, or the one that ships inside the function. `None` before any
    /// function has started.
    pub async fn champion(&self) -> Result<Option<ModelVersion>, StoreError> {
        let sql = format!("select {CHAMPION} as version");
        parsed_or_none(&self.row(DOING, &sql, &[]).await?, "version")
    }

    /// Every model that is known, newest first.
    pub async fn known_models(&self) -> Result<Vec<KnownModel>, StoreError> {
        self.rows(DOING, &known_sql(), &[]).await?.iter().map(known).collect()
    }

    /// Switches that the registry was not told yet, oldest first.
    pub async fn unmirrored_switches(&self) -> Result<Vec<Switch>, StoreError> {
        let sql = format!("{SWITCHES} where mirrored_at is null order by id");
        self.rows(DOING, &sql, &[]).await?.iter().map(switch).collect()
    }

    /// The latest switches, newest first.
    pub async fn switches(&self, limit: u32) -> Result<Vec<Switch>, StoreError> {
        let sql = format!("{SWITCHES} order by id desc limit $1");
        self.rows(DOING, &sql, &[(&i64::from(limit), Type::INT8)]).await?.iter().map(switch).collect()
    }

    /// The registry says what the aliases said after this switch.
    pub async fn mark_mirrored(&self, up_to: i64) -> Result<(), StoreError> {
        let sql = "update model_switches set mirrored_at = now() where id <= $1 and mirrored_at is null";
        self.change(DOING, sql, &[(&up_to, Type::INT8)]).await.map(drop)
    }
}

fn known(row: &Row) -> Result<KnownModel, StoreError> {
    Ok(KnownModel {
        version: parsed(row, "version")?,
        role: column(row, "role")?,
        share: column(row, "share")?,
        run_id: column(row, "run_id")?,
        bundle_uri: column(row, "bundle_uri")?,
        registered_at: column(row, "registered_at")?,
    })
}

fn switch(row: &Row) -> Result<Switch, StoreError> {
    let action = match column(row, "action")? {
        "shadow" => SwitchAction::Shadow,
        "canary" => SwitchAction::Canary,
        "promote" => SwitchAction::Promote,
        "rollback" => SwitchAction::Rollback,
        _ => SwitchAction::Withdraw,
    };
    Ok(Switch {
        id: column(row, "id")?,
        at: column(row, "at")?,
        action,
        from_version: parsed_or_none(row, "from_version")?,
        to_version: parsed_or_none(row, "to_version")?,
        challenger: parsed_or_none(row, "challenger")?,
        run_id: column(row, "run_id")?,
        actor: column(row, "actor")?,
        reason: column(row, "reason")?,
    })
}
