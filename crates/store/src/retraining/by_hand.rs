//! Switches by hand, each with an audit row.

use modloop_domain::ModelVersion;

use super::named;
use super::switching::DOING;
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

const PROMOTE_BY_HAND: &str = "
    with noted as (
        insert into model_switches (action, from_version, to_version, challenger, actor, reason)
        values ('promote', $4, $1, null, $2, $3) returning to_version
    ), freed as (
        delete from model_aliases a using noted
        where a.alias = 'challenger' and a.model_version = noted.to_version
    )
    insert into model_aliases (alias, model_version, mode, share, updated_at)
    select 'champion', to_version, 'champion', 1, now() from noted
    on conflict (alias) do update set model_version = excluded.model_version, updated_at = excluded.updated_at";

const WITHDRAW_BY_HAND: &str = "
    with freed as (
        delete from model_aliases where alias = 'challenger' returning model_version
    )
    insert into model_switches (action, from_version, to_version, challenger, actor, reason)
    select 'withdraw', $1, $1, model_version, $2, $3 from freed
    returning challenger";

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
const ROLL_BACK_BY_HAND: &str = "
    with noted as (
        insert into model_switches (action, from_version, to_version, actor, reason)
        values ('rollback', $1, $2, $3, $4) returning to_version
    ), addressed as (
        select version from models join noted on version = to_version where bundle_uri is not null
    ), shipped as (
        delete from model_aliases where alias = 'champion' and not exists (select from addressed)
    )
    insert into model_aliases (alias, model_version, mode, share, updated_at)
    select 'champion', version, 'champion', 1, now() from addressed
    on conflict (alias) do update set model_version = excluded.model_version, updated_at = excluded.updated_at";

impl Store {
    /// By hand: makes a known model the champion.
    pub async fn promote(
        &self,
        version: &ModelVersion,
        actor: &str,
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
        let done = self.client.execute(PROMOTE_BY_HAND, &[&version.as_str(), &actor, &reason, &from]).await;
        done.map_err(StoreError::query(DOING))?;
        Ok(before)
    }

    /// By hand: withdraws what is on trial; with nothing on trial goes back to the champion before.
    /// Returns who left and who decides now.
    pub async fn roll_back(
        &self,
        actor: &str,
        reason: &str,
    ) -> Result<(ModelVersion, ModelVersion), SwitchError> {
        let error = StoreError::query(DOING);
        let champion = self.champion().await?.ok_or(SwitchError::NothingBefore)?;
        let champion_name = champion.as_str();
        let withdrawn = self
            .client
            .query_opt(WITHDRAW_BY_HAND, &[&champion_name, &actor, &reason])
            .await
            .map_err(&error)?;
        if let Some(row) = withdrawn {
            return Ok((named(&row, "challenger")?, champion));
        }
        let before = self.client.query_opt(BEFORE, &[&champion_name]).await.map_err(&error)?;
        let before: ModelVersion = named(&before.ok_or(SwitchError::NothingBefore)?, "from_version")?;
        self.client
            .execute(ROLL_BACK_BY_HAND, &[&champion_name, &before.as_str(), &actor, &reason])
            .await
            .map_err(&error)?;
        Ok((champion, before))
    }
}
