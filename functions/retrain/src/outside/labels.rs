use async_trait::async_trait;
use futures::StreamExt;
use modloop_domain::Label;
use modloop_labeler::{
    ApiKey, Labeler, LabelerError, LabelerSettings, NoLabel, Outcome, Rubric, Spend, Unlabelled,
};
use tokio::sync::OnceCell;

use super::{LabelTexts, RunBudget};

/// A chat endpoint with the project's rubric.
pub struct LlmLabeller {
    settings: LabelerSettings,
    key: ApiKey,
    rubric: Rubric,
    /// Made with the first texts: which labels are asked for is the champion's business.
    labeller: OnceCell<Labeler>,
}

impl LlmLabeller {
    /// Checks the rubric; asks nothing yet.
    pub fn new(settings: LabelerSettings, key: ApiKey) -> Result<Self, LabelerError> {
        Ok(Self { settings, key, rubric: Rubric::v1()?, labeller: OnceCell::new() })
    }

    async fn asking_for(&self, labels: &[Label]) -> Result<&Labeler, LabelerError> {
        let make = || async {
            let rubric = self.rubric.clone().asking_for(labels)?;
            Labeler::new(self.settings.clone(), rubric, &self.key)
        };
        self.labeller.get_or_try_init(make).await
    }
}

#[async_trait(?Send)]
impl LabelTexts for LlmLabeller {
    async fn label(&self, texts: Vec<Unlabelled>, labels: &[Label], budget: &RunBudget<'_>) -> Vec<Outcome> {
        match self.asking_for(labels).await {
            Ok(labeller) => labeller.label(texts, budget).collect().await,
            Err(error) => {
                let code = error.to_string();
                let refuse = |text: Unlabelled| Outcome {
                    fullname: text.fullname,
                    spent: Spend::NONE,
                    result: Err(NoLabel::Request { status: 0, code: code.clone() }),
                };
                texts.into_iter().map(refuse).collect()
            }
        }
    }
}
