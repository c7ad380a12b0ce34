use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};

use crate::completion::{Attempt, Charge, Failure, Reply};
use crate::endpoint::Endpoint;
use crate::pace::Pause;
use crate::request::Request;
use crate::stop::Stop;
use crate::{
    ApiKey, Budget, LabelerError, LabelerSettings, NoLabel, Outcome, Rubric, Spend, Unlabeled, Verdict,
};

/// An endpoint that asks for a longer pause is left alone: the rest waits for a later run.
const MAX_PAUSE: Duration = Duration::from_secs(120);

/// Has texts labeled. One labeler keeps one pace, so share it.
pub struct Labeler {
    endpoint: Endpoint,
    settings: LabelerSettings,
    rubric: Rubric,
    pause: Pause,
}

impl Labeler {
    /// Checks settings and key; asks nothing yet.
    pub fn new(settings: LabelerSettings, rubric: Rubric, key: &ApiKey) -> Result<Self, LabelerError> {
        let endpoint = Endpoint::new(&settings, key)?;
        Ok(Self { endpoint, settings, rubric, pause: Pause::default() })
    }

    /// One outcome for each text, as they come. What concerns everything (budget, key, credit, an
    /// endpoint that is down) ends the calls that have not begun: their texts get the same reason.
    ///
    /// A text is taken from `texts` only when there is room for its call, so an iterator that ends early (because
    /// time runs short) ends the work without losing an answer. Dropping the stream instead leaves calls half-way, and
    /// their reservations open.
    pub fn label<'a, B, T>(&'a self, texts: T, budget: &'a B) -> impl Stream<Item = Outcome> + 'a
    where
        B: Budget,
        T: IntoIterator<Item = Unlabeled>,
        T::IntoIter: 'a,
    {
        let stop = Arc::new(Stop::default());
        stream::iter(texts)
            .map(move |text| self.outcome(text, budget, Arc::clone(&stop)))
            .buffer_unordered(self.settings.concurrency.get())
    }

    async fn outcome<B: Budget>(&self, item: Unlabeled, budget: &B, stop: Arc<Stop>) -> Outcome {
        let mut spent = Spend::NONE;
        let result = self.verdict(&item.text, budget, &stop, &mut spent).await;
        if let Err(why) = &result {
            tracing::info!(item = %item.id, reason = why.reason(), %why, "no label");
        }
        stop.learn(&result);
        Outcome { id: item.id, spent, result }
    }

    async fn verdict<B: Budget>(
        &self,
        text: &str,
        budget: &B,
        stop: &Stop,
        spent: &mut Spend,
    ) -> Result<Verdict, NoLabel> {
        if text.trim().is_empty() {
            return Err(NoLabel::Empty);
        }
        if text.len() > self.settings.text_bytes {
            return Err(NoLabel::TooLong);
        }
        let request = Request::new(&self.settings, &self.rubric, text);
        let mut waits = self.settings.retries.waits();
        loop {
            self.pause.over().await;
            if let Some(why) = stop.reason() {
                return Err(why);
            }
            let (cost, result) = self.attempt(&request, budget, stop).await?;
            *spent += cost;
            let failure = match result {
                Ok(reply) => return Ok(self.of(reply)),
                Err(failure) => failure,
            };
            self.wait(failure, &mut waits, stop).await?;
        }
    }

    /// One call, reserved before and settled after.
    async fn attempt<B: Budget>(
        &self,
        request: &Request,
        budget: &B,
        stop: &Stop,
    ) -> Result<(Spend, Result<Reply, Failure>), NoLabel> {
        let prices = self.settings.prices;
        let most = prices.of(request.most_input_tokens(), self.settings.output_tokens.get().into());
        let reservation = budget.reserve(most).await?;
        let attempt = match self.endpoint.send(request.body.clone()).await {
            Ok(http) => Attempt::read(&http, &self.rubric),
            Err(attempt) => attempt,
        };
        let actual = match attempt.charge {
            Charge::Nothing => Spend::NONE,
            Charge::Tokens { input, output } => prices.of(input, output),
            Charge::Unknown => most,
        };
        if let Err(error) = budget.settle(reservation, actual).await {
            // The answer is paid for and good; what stays reserved counts as spent.
            tracing::warn!(%error, "a labeling call was not settled");
        }
        if actual.tokens() > most.tokens() || actual.cost > most.cost {
            stop.because(NoLabel::Overbilled);
        }
        Ok((actual, attempt.result))
    }

    /// Waits until the next try, or says why there is none.
    async fn wait(
        &self,
        failure: Failure,
        waits: &mut impl Iterator<Item = Duration>,
        stop: &Stop,
    ) -> Result<(), NoLabel> {
        let Failure { why, retry_after } = failure;
        if let Some(pause) = retry_after.filter(|_| why.is_retryable()) {
            if pause > MAX_PAUSE {
                let asked = NoLabel::Unavailable(format!("it asks to wait {} s", pause.as_secs()));
                stop.because(asked.clone());
                return Err(asked);
            }
            self.pause.ask(pause);
        }
        match waits.next().filter(|_| why.is_retryable()) {
            Some(wait) => {
                tracing::debug!(%why, wait_ms = wait.as_millis() as u64, "trying again");
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => Err(why),
        }
    }

    fn of(&self, reply: Reply) -> Verdict {
        Verdict {
            answers: reply.answer.answers,
            rationale: reply.answer.rationale,
            model: if reply.model.is_empty() { self.settings.model.clone() } else { reply.model },
            rubric_version: self.rubric.version().to_owned(),
        }
    }
}
