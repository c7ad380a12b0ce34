use modloop_domain::RunState;
use modloop_store::runs::RunUpdate;
use serde_json::json;

use super::{Step, Work};
use crate::RetrainError;

impl Work<'_> {
    /// The run's turn has come. A drift that was found on a model that is gone is no reason any more: what
    /// is left of it will be found on the present one.
    pub(super) async fn begin(&self) -> Result<Step, RetrainError> {
        let serving = self.context.database.ask(async |store| store.serving().await).await?;
        let champion = serving.champion.map_or_else(|| self.context.shipped.clone(), |model| model.version);
        if let Some(drifted) = self.run.requested_model.as_ref().filter(|model| **model != champion) {
            let reason = format!("the drift was found on {drifted}, and {champion} took over since");
            return self.end(RunState::Rejected, &reason, RunUpdate::default()).await;
        }
        let progress = RunUpdate {
            champion_version: Some(champion.clone()),
            config: Some(json!(self.settings)),
            ..RunUpdate::default()
        };
        let facts = json!({"champion": champion, "challenger": self.run.challenger_version});
        self.move_to(RunState::Sampling, "the run began", &progress, &facts).await
    }
}
