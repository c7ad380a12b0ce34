use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use modloop_domain::Label;
use modloop_labeler::{
    ApiKey, Labeler, LabelerError, LabelerSettings, NoLabel, Outcome, OutputLimit, Prices, Retries, Rubric,
    Spend, Unlabeled,
};
use url::Url;

use super::{LabelTexts, RunBudget};

/// Any OpenAI-compatible endpoint.
pub struct LlmLabeler {
    url: Url,
    key: ApiKey,
    rubric: Rubric,
}

impl LlmLabeler {
    /// At an address such as `https://api.openai.com/v1`, with its key.
    pub fn new(url: Url, key: ApiKey) -> Result<Self, LabelerError> {
        Ok(Self { url, key, rubric: Rubric::v1()? })
    }

    fn asking_for(
        &self,
        labels: &[Label],
        settings: &modloop_settings::Labeler,
    ) -> Result<Labeler, LabelerError> {
        let rubric = self.rubric.clone().asking_for(labels)?;
        Labeler::new(labeler_settings(&self.url, settings)?, rubric, &self.key)
    }
}

fn labeler_settings(
    url: &Url,
    settings: &modloop_settings::Labeler,
) -> Result<LabelerSettings, LabelerError> {
    let prices = Prices::per_million(settings.input_price, settings.output_price)?;
    let attempts = NonZeroU32::new(settings.attempts.into()).unwrap_or(NonZeroU32::MIN);
    let limit = match settings.output_limit {
        modloop_settings::OutputLimit::MaxTokens => OutputLimit::MaxTokens,
        modloop_settings::OutputLimit::MaxCompletionTokens => OutputLimit::MaxCompletionTokens,
    };
    Ok(LabelerSettings::new(url.clone(), &settings.model, prices)?
        .with_timeout(Duration::from_secs_f64(settings.timeout_seconds))
        .with_concurrency(NonZeroUsize::new(settings.concurrency.into()).unwrap_or(NonZeroUsize::MIN))
        .with_retries(Retries { attempts, ..Retries::default() })
        .with_output(NonZeroU32::new(settings.output_tokens).unwrap_or(NonZeroU32::MIN), limit)
        .with_temperature(settings.temperature)
        .with_text_bytes(settings.text_bytes as usize))
}

#[async_trait(?Send)]
impl LabelTexts for LlmLabeler {
    async fn label(
        &self,
        settings: &modloop_settings::Labeler,
        texts: Vec<Unlabeled>,
        labels: &[Label],
        budget: &RunBudget<'_>,
    ) -> Vec<Outcome> {
        match self.asking_for(labels, settings) {
            Ok(labeler) => labeler.label(texts, budget).collect().await,
            Err(error) => {
                let code = error.to_string();
                let refuse = |text: Unlabeled| Outcome {
                    id: text.id,
                    spent: Spend::NONE,
                    result: Err(NoLabel::Request { status: 0, code: code.clone() }),
                };
                texts.into_iter().map(refuse).collect()
            }
        }
    }
}
