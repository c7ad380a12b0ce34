//! Switches by hand, each with an audit entry.

use modloop_domain::{Actor, ModelVersion};
use tokio_postgres::types::Type;

use super::switching::{AUDIT, DOING, NOTED};
use crate::row::parsed;
use crate::{Store, StoreError};

/// Why a switch by hand is not done.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing is known of that version.
    #[error("model {0} is not known here; `modloop models list` shows those that are")]
    Unknown(ModelVersion),
    /// It has the place already.
    #[error("model {0} is the champion already")]
    AlreadyChampion(ModelVersion),
    /// There was never another champion, and nothing is on trial.
    #[error("there is no earlier champion to go back to and no model on trial to withdraw")]
    NothingBefore,
}

fn promote_sql() -> String {
    format!(
        "with noted as (
            insert into model_switches (action, from_version, to_version, challenger, actor, reason)
            values ('promote', $4, $1, null, $2, $3) {NOTED}
        ), freed as (
            delete from model_aliases a using noted, models m
            where a.alias = 'challenger' and a.model_id = m.id and m.version = noted.to_version
        ), {AUDIT}
        insert into model_aliases (alias, model_id, mode, share, updated_at)
        select 'champion', m.id, 'champion', 1, now() from noted join models m on m.version = noted.to_version
        on conflict (alias) do update set model_id = excluded.model_id, updated_at = excluded.updated_at"
    )
}

fn withdraw_sql() -> String {
    format!(
        "with freed as (
            delete from model_aliases a using models m
            where a.alias = 'challenger' and m.id = a.model_id returning m.version
        ), noted as (
            insert into model_switches (action, from_version, to_version, challenger, actor, reason)
            select 'withdraw', $1, $1, version, $2, $3 from freed {NOTED}
        ), {AUDIT} select challenger from noted"
    )
}

/// The champion that the present one was promoted in the place of. One that was left by a roll-back, and not
/// promoted since, is passed over: going back twice must not bring the bad model again.
const BEFORE: &str = "
    select s.from_version from model_switches s
    where s.action = 'promote' and s.to_version = $1 and s.from_version is not null and not exists (
        select from model_switches r
        where r.action = 'rollback' and r.from_version = s.from_version and not exists (
            select from model_switches p
            where p.action = 'promote' and p.to_version = r.from_version and p.id > r.id
        )
    )
    order by s.id desc limit 1";

/// A model without an address ships inside the function, which serves when there is no alias.
fn roll_back_sql() -> String {
    format!(
        "with noted as (
            insert into model_switches (action, from_version, to_version, actor, reason)
            values ('rollback', $1, $2, $3, $4) {NOTED}
        ), addressed as (
            select id from models join noted on version = to_version where bundle_uri is not null
        ), shipped as (
            delete from model_aliases where alias = 'champion' and not exists (select from addressed)
        ), {AUDIT}
        insert into model_aliases (alias, model_id, mode, share, updated_at)
        select 'champion', id, 'champion', 1, now() from addressed
        on conflict (alias) do update set model_id = excluded.model_id, updated_at = excluded.updated_at"
    )
}

impl Store {
    /// By hand: makes a known model the champion. Returns the champion before. Must not be repeated by itself.
    pub async fn promote(
        &self,
        version: &ModelVersion,
        actor: &Actor,
        reason: &str,
    ) -> Result<Option<ModelVersion>, SwitchError> {
        if !self.known_models().await?.iter().any(|model| model.version == *version) {
            return Err(SwitchError::Unknown(version.clone()));
        }
        let before = self.champion().await?;
        if before.as_ref() == Some(version) {
            return Err(SwitchError::AlreadyChampion(version.clone()));
        }
        let from = before.as_ref().map(|model| model.as_str());
        let parameters = [
            (&version.as_str() as _, Type::TEXT),
            (&actor.as_str() as _, Type::TEXT),
            (&reason as _, Type::TEXT),
            (&from as _, Type::TEXT),
        ];
        self.change(DOING, &promote_sql(), &parameters).await?;
        Ok(before)
    }

    /// By hand: withdraws what is on trial; with nothing on trial goes back to the champion before. Returns
    /// who left and who decides now. Must not be repeated by itself.
    pub async fn roll_back(
        &self,
        actor: &Actor,
        reason: &str,
    ) -> Result<(ModelVersion, ModelVersion), SwitchError> {
        let champion = self.champion().await?.ok_or(SwitchError::NothingBefore)?;
        let name = champion.as_str();
        let withdrawing =
            [(&name as _, Type::TEXT), (&actor.as_str() as _, Type::TEXT), (&reason as _, Type::TEXT)];
        if let Some(row) = self.row_or_none(DOING, &withdraw_sql(), &withdrawing).await? {
            return Ok((parsed(&row, "challenger")?, champion));
        }
        let before = self.row_or_none(DOING, BEFORE, &[(&name as _, Type::TEXT)]).await?;
        let before: ModelVersion = parsed(&before.ok_or(SwitchError::NothingBefore)?, "from_version")?;
        let parameters = [
            (&name as _, Type::TEXT),
            (&before.as_str() as _, Type::TEXT),
            (&actor.as_str() as _, Type::TEXT),
            (&reason as _, Type::TEXT),
        ];
        self.change(DOING, &roll_back_sql(), &parameters).await?;
        Ok((champion, before))
    }
}
