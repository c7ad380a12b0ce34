//! Permission to train on texts: an operator's statement, which can be withdrawn.

use chrono::{DateTime, Utc};
use modloop_domain::{Actor, Community};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::row::{column, parse};
use crate::{Store, StoreError};

/// A statement that is in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainingPermission {
    /// Counts up.
    pub id: i64,
    /// Who stated it.
    pub granted_by: String,
    /// When.
    pub granted_at: DateTime<Utc>,
    /// What for, in the operator's words.
    pub statement: String,
    /// For which communities; `None`: for all.
    pub communities: Option<Vec<Community>>,
}

impl TrainingPermission {
    /// Whether it covers the texts of a community.
    pub fn covers(&self, community: &Community) -> bool {
        self.communities.as_ref().is_none_or(|communities| communities.contains(community))
    }
}

/// Why no statement is stored.
#[derive(Debug, thiserror::Error)]
pub enum PermissionError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A community that is not known here.
    #[error("{0} is not known here; `modloop communities list` shows those that are")]
    UnknownCommunity(Community),
}

/// A later statement takes the place of an earlier one.
const GRANT: &str = "
    with before as (
        update training_permissions set withdrawn_at = now(), withdrawn_by = $1 where withdrawn_at is null
    ), wanted as (
        select array_agg(c.id order by c.id) as ids
        from communities c join unnest($3::text[], $4::text[]) as w(source, name) using (source, name)
    ), granted as (
        insert into training_permissions (granted_by, statement, communities)
        select $1, $2, wanted.ids from wanted returning id, communities
    )
    insert into audit (actor, action, subject, after)
    select $1, 'permission.grant', 'permission:' || id, jsonb_build_object('communities', communities)
    from granted";

const WITHDRAW: &str = "
    with gone as (
        update training_permissions set withdrawn_at = now(), withdrawn_by = $1
        where withdrawn_at is null returning id
    )
    insert into audit (actor, action, subject) select $1, 'permission.withdraw', 'permission:' || id from gone";

const CURRENT: &str = "
    select p.id, p.granted_by, p.granted_at, p.statement,
        (select array_agg(c.source || ':' || c.name order by c.source, c.name)
         from communities c where c.id = any(p.communities)) as communities
    from training_permissions p where p.withdrawn_at is null order by p.id desc limit 1";

impl Store {
    /// The statement in force; `None`: nothing may be trained on.
    pub async fn training_permission(&self) -> Result<Option<TrainingPermission>, StoreError> {
        let row = self.row_or_none("reading the permission to train", CURRENT, &[]).await?;
        row.as_ref().map(permission).transpose()
    }

    /// States that texts may be trained on, of these communities or of all.
    pub async fn grant_training(
        &self,
        actor: &Actor,
        statement: &str,
        communities: Option<&[Community]>,
    ) -> Result<(), PermissionError> {
        let wanted = communities.unwrap_or_default();
        let known = self.communities().await?;
        if let Some(unknown) = wanted.iter().find(|w| !known.iter().any(|k| k.community == **w)) {
            return Err(PermissionError::UnknownCommunity(unknown.clone()));
        }
        let (sources, names): (Vec<&str>, Vec<&str>) =
            wanted.iter().map(|c| (c.source().as_str(), c.name().as_str())).unzip();
        let parameters = [
            (&actor.as_str() as _, Type::TEXT),
            (&statement as _, Type::TEXT),
            (&sources as _, Type::TEXT_ARRAY),
            (&names as _, Type::TEXT_ARRAY),
        ];
        self.change("storing a permission to train", GRANT, &parameters).await?;
        Ok(())
    }

    /// Withdraws the statement in force; `false`: there is none. A run that trains stops before its next step.
    pub async fn withdraw_training(&self, actor: &Actor) -> Result<bool, StoreError> {
        let parameters = [(&actor.as_str() as _, Type::TEXT)];
        Ok(self.change("withdrawing the permission to train", WITHDRAW, &parameters).await? > 0)
    }
}

fn permission(row: &Row) -> Result<TrainingPermission, StoreError> {
    let communities: Option<Vec<&str>> = column(row, "communities")?;
    let communities = communities.map(|names| names.into_iter().map(|name| parse(name, "name")).collect());
    Ok(TrainingPermission {
        id: column(row, "id")?,
        granted_by: column(row, "granted_by")?,
        granted_at: column(row, "granted_at")?,
        statement: column(row, "statement")?,
        communities: communities.transpose()?,
    })
}
