use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use modloop_domain::RunState;
use modloop_sampling::{Candidate, GoldShare, Plan, sample};
use modloop_store::labels::{Candidate as Scored, SampledItem};
use modloop_store::runs::RunUpdate;
use serde_json::json;

use super::{Step, Work};
use crate::RetrainError;

/// Items with a label of a person that the labeler is measured by, at most.
const COMMON: usize = 200;

impl Work<'_> {
    /// Chooses the items. A repeat adds what it would have chosen to what is stored, which is the same unless
    /// items came or went meanwhile.
    pub(super) async fn sample(&self) -> Result<Step, RetrainError> {
        let (run, settings) = (self.run.id, &self.settings);
        let since = Utc::now() - TimeDelta::hours(settings.sampling.lookback_hours.into());
        let candidates = self
            .context
            .database
            .ask(async |store| store.candidates(run, since, settings.sampling.candidates).await)
            .await?;
        let (common, candidates): (Vec<Scored>, Vec<Scored>) = candidates.into_iter().partition(|c| c.human);
        let mut items = self.chosen(&candidates)?;
        let by_strata = counted(&items);
        items.extend(common.iter().take(COMMON).map(|c| self.common(c)).collect::<Result<Vec<_>, _>>()?);
        if items.is_empty() {
            let hours = settings.sampling.lookback_hours;
            let reason = format!("no scored items without labels were posted in the last {hours} hours");
            return self.end(RunState::Rejected, &reason, RunUpdate::default()).await;
        }
        self.context.database.ask(async |store| store.save_sample(run, &items).await).await?;
        let facts = json!({
            "candidates": candidates.len(), "items": items.len(), "strata": by_strata,
            "gold": items.iter().filter(|item| item.gold).count(), "labeled_by_people": common.len(),
        });
        self.move_to(RunState::Labeling, "items were chosen", &RunUpdate::default(), &facts).await
    }

    fn chosen(&self, candidates: &[Scored]) -> Result<Vec<SampledItem>, RetrainError> {
        let texts: Vec<String> = candidates.iter().map(|c| c.text.scored()).collect();
        let views: Vec<Candidate<'_>> = candidates
            .iter()
            .zip(&texts)
            .map(|(c, text)| Candidate {
                id: &c.id,
                community: &c.community,
                text,
                top_score: c.top_score,
                review: c.thresholds.all.review().get(),
                remove: c.thresholds.all.remove().get(),
                drifted: c.drifted,
            })
            .collect();
        let seed = self.run.challenger_version.as_str();
        let plan = Plan { size: self.settings.sampling.items, gold: self.gold()?, seed };
        let item = |chosen: modloop_sampling::Chosen| SampledItem {
            item: candidates[chosen.index].id.clone(),
            content_hash: candidates[chosen.index].content_hash,
            stratum: chosen.stratum.to_string(),
            weight: chosen.weight as f32,
            gold: chosen.gold,
        };
        Ok(sample(&views, plan).into_iter().map(item).collect())
    }

    fn common(&self, candidate: &Scored) -> Result<SampledItem, RetrainError> {
        Ok(SampledItem {
            item: candidate.id.clone(),
            content_hash: candidate.content_hash,
            stratum: "labeled by people".into(),
            weight: 1.0,
            gold: self.gold()?.holds(&candidate.id),
        })
    }

    pub(super) fn gold(&self) -> Result<GoldShare, RetrainError> {
        GoldShare::new(self.settings.sampling.gold_share)
            .map_err(|e| RetrainError::Incomplete { run: self.run.id, problem: e.to_string() })
    }
}

fn counted(items: &[SampledItem]) -> BTreeMap<String, usize> {
    let mut strata = BTreeMap::new();
    items.iter().for_each(|item| *strata.entry(item.stratum.clone()).or_default() += 1);
    strata
}
