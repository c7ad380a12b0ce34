//! What operators do, each command with an actor and, where it changes something, an entry in the audit log.

mod error;

use modloop_domain::{Actor, Community, CommunityThresholds, ItemId, Label, ModelVersion, RequestedBy};
use modloop_store::Store;
use modloop_store::communities::{Changed, CommunityRow};
use modloop_store::items::Forgotten;
use modloop_store::labels::{HumanLabel, Imported, Said};
use modloop_store::queue::{Cursor, FlaggedItem};
use modloop_store::runs::{Run, RunRequest};
use modloop_store::settings::SettingVersion;
use serde_json::Value;

pub use error::OperatorError;

/// A command that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// [`Operator::add_community`]
    AddCommunity,
    /// [`Operator::set_thresholds`]
    SetThresholds,
    /// [`Operator::disable_community`]
    DisableCommunity,
    /// [`Operator::enable_community`]
    EnableCommunity,
    /// [`Operator::import_labels`]
    ImportLabels,
    /// [`Operator::forget`]
    Forget,
    /// [`Operator::request_run`]
    RequestRun,
    /// [`Operator::stop_run`]
    StopRun,
    /// [`Operator::change_settings`]
    ChangeSettings,
    /// [`Operator::grant_training`]
    GrantTraining,
    /// [`Operator::withdraw_training`]
    WithdrawTraining,
    /// [`Operator::promote`]
    Promote,
    /// [`Operator::roll_back`]
    RollBack,
}

impl Command {
    /// Every command that changes something.
    pub const ALL: [Self; 13] = [
        Self::AddCommunity,
        Self::SetThresholds,
        Self::DisableCommunity,
        Self::EnableCommunity,
        Self::ImportLabels,
        Self::Forget,
        Self::RequestRun,
        Self::StopRun,
        Self::ChangeSettings,
        Self::GrantTraining,
        Self::WithdrawTraining,
        Self::Promote,
        Self::RollBack,
    ];
}

/// Somebody who operates Modloop.
pub struct Operator<'a> {
    store: &'a Store,
    actor: Actor,
}

impl<'a> Operator<'a> {
    /// `actor` stands in the audit log.
    pub fn new(store: &'a Store, actor: Actor) -> Self {
        Self { store, actor }
    }

    /// Who it is.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// One community.
    ///
    /// # Errors
    /// When it is not known.
    pub async fn community(&self, community: &Community) -> Result<CommunityRow, OperatorError> {
        let known = self.store.communities().await?;
        let found = known.into_iter().find(|known| known.community == *community);
        found.ok_or_else(|| OperatorError::UnknownCommunity(community.clone()))
    }

    /// Watches a community from now on; one that was disabled is enabled again. `false`: it was watched before.
    pub async fn add_community(&self, community: &Community) -> Result<bool, OperatorError> {
        let added = self.store.add_community(&self.actor, community).await?;
        Ok(added || self.store.enable_community(&self.actor, community, true).await? == Changed::Yes)
    }

    /// Gives a community other thresholds, from its next batch on. `false`: they were so before.
    pub async fn set_thresholds(
        &self,
        community: &Community,
        thresholds: &CommunityThresholds,
    ) -> Result<bool, OperatorError> {
        let changed = self.store.set_thresholds(&self.actor, community, thresholds).await?;
        is_changed(changed, community)
    }

    /// Stops fetching a community. What was stored stays.
    pub async fn disable_community(&self, community: &Community) -> Result<bool, OperatorError> {
        is_changed(self.store.enable_community(&self.actor, community, false).await?, community)
    }

    /// Fetches a community again.
    pub async fn enable_community(&self, community: &Community) -> Result<bool, OperatorError> {
        is_changed(self.store.enable_community(&self.actor, community, true).await?, community)
    }

    /// Flagged items that nobody has judged yet, the most harmful first.
    pub async fn flagged(
        &self,
        community: Option<&Community>,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Vec<FlaggedItem>, OperatorError> {
        let id = match community {
            Some(community) => Some(self.community(community).await?.id),
            None => None,
        };
        Ok(self.store.flagged(id, after, limit).await?)
    }

    /// Everything that was said about an item.
    pub async fn labels_of(&self, item: &ItemId) -> Result<Vec<Said>, OperatorError> {
        Ok(self.store.labels_of(item).await?)
    }

    /// Stores what the operator says about items, beside what others said.
    ///
    /// # Errors
    /// When a label is not one of the champion's.
    pub async fn import_labels(
        &self,
        origin: &str,
        labels: &[HumanLabel],
    ) -> Result<Imported, OperatorError> {
        let champion = self.store.champion().await?.ok_or(OperatorError::NoModel)?;
        let known: Vec<Label> = self.store.model_labels(&champion).await?;
        let said = labels.iter().flat_map(|label| label.values.keys());
        if let Some(unknown) = said.into_iter().find(|label| !known.contains(label)) {
            return Err(OperatorError::UnknownLabel { label: unknown.clone(), known });
        }
        Ok(self.store.import_labels(&self.actor, origin, labels).await?)
    }

    /// Takes away everything that an author wrote. Data sets of the runs that are returned may hold it too.
    pub async fn forget(&self, author: &str) -> Result<Forgotten, OperatorError> {
        let author = author.trim();
        let name = author.strip_prefix("u/").or(author.strip_prefix("/u/")).unwrap_or(author);
        if name.is_empty() || name.chars().any(char::is_whitespace) || name.chars().count() > 128 {
            return Err(OperatorError::AuthorName(name.chars().take(40).collect()));
        }
        Ok(self.store.forget_author(&self.actor, name).await?)
    }

    /// Asks for a training run; gives its number.
    pub async fn request_run(&self, reason: &str) -> Result<i64, OperatorError> {
        let request = RunRequest {
            by: RequestedBy::Operator,
            reason: format!("{}: {reason}", self.actor),
            episode: None,
            model: None,
        };
        Ok(self.store.request_run_by_hand(&self.actor, &request).await?)
    }

    /// Asks for a run to be stopped: its next step ends it, and stops its job.
    pub async fn stop_run(&self, run: i64) -> Result<Run, OperatorError> {
        Ok(self.store.request_stop(run, &self.actor).await?)
    }

    /// All versions of a document of settings, the newest first.
    pub async fn settings(&self, name: &str) -> Result<Vec<SettingVersion>, OperatorError> {
        Ok(self.store.settings_history(name).await?)
    }

    /// Changes fields of a document of settings. Works with the next invocation.
    pub async fn change_settings(&self, name: &str, fields: &Value) -> Result<SettingVersion, OperatorError> {
        Ok(self.store.change_settings(&self.actor, name, fields).await?)
    }

    /// States that texts may be trained on, of these communities or of all.
    pub async fn grant_training(
        &self,
        statement: &str,
        communities: Option<&[Community]>,
    ) -> Result<(), OperatorError> {
        let statement = statement.trim();
        if statement.is_empty() || statement.chars().count() > 2000 {
            return Err(OperatorError::Statement);
        }
        Ok(self.store.grant_training(&self.actor, statement, communities).await?)
    }

    /// Withdraws that statement; `false`: there is none. A run that trains stops before its next step.
    pub async fn withdraw_training(&self) -> Result<bool, OperatorError> {
        Ok(self.store.withdraw_training(&self.actor).await?)
    }

    /// Makes a known model the champion. Returns the champion before.
    pub async fn promote(
        &self,
        version: &ModelVersion,
        reason: &str,
    ) -> Result<Option<ModelVersion>, OperatorError> {
        Ok(self.store.promote(version, &self.actor, reason).await?)
    }

    /// Withdraws what is on trial; with nothing on trial goes back to the champion before. Returns who left and
    /// who decides now.
    pub async fn roll_back(&self, reason: &str) -> Result<(ModelVersion, ModelVersion), OperatorError> {
        Ok(self.store.roll_back(&self.actor, reason).await?)
    }
}

fn is_changed(changed: Changed, community: &Community) -> Result<bool, OperatorError> {
    match changed {
        Changed::Yes => Ok(true),
        Changed::Already => Ok(false),
        Changed::Unknown => Err(OperatorError::UnknownCommunity(community.clone())),
    }
}
