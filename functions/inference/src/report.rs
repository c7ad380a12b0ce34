use std::time::Duration;

use aws_lambda_events::event::sqs::SqsBatchResponse;
use modloop_domain::{ItemId, ModelVersion};
use modloop_store::StoreError;
use modloop_store::predictions::Recorded;
use modloop_telemetry::Metrics;

/// What became of one event.
#[derive(Debug)]
pub struct Report {
    /// The messages that SQS is to deliver again.
    pub response: SqsBatchResponse,
    /// Messages that name no item.
    pub poison: usize,
    /// Different items that the other messages name.
    pub items: usize,
    /// What became of the items; an error concerns them all.
    pub outcome: Result<Scored, StoreError>,
    /// From the event to the response.
    pub took: Duration,
}

/// What became of the items of a batch.
#[derive(Debug)]
pub struct Scored {
    /// The model that scored them.
    pub model: ModelVersion,
    /// The champion could not be loaded just now; `model` is the last good one.
    pub load_failed: bool,
    /// Items that still waited for scores. The others were scored, deleted or lost before: done.
    pub texts: usize,
    /// Rows written.
    pub recorded: Recorded,
    /// Items whose text could not be scored.
    pub failed: Vec<ItemId>,
    /// How long the oldest item has waited; `None` when none waits.
    pub oldest_unscored: Option<Duration>,
}

impl Report {
    /// Items whose messages come again.
    pub fn failed(&self) -> usize {
        self.outcome.as_ref().map_or(self.items, |scored| scored.failed.len())
    }

    /// Rows written.
    pub fn recorded(&self) -> Recorded {
        self.outcome.as_ref().map(|scored| scored.recorded).unwrap_or_default()
    }

    /// The database does not take the password that this process knows.
    pub fn password_refused(&self) -> bool {
        matches!(self.outcome, Err(StoreError::Refused { .. }))
    }

    /// For CloudWatch.
    pub fn metrics(&self) -> Metrics {
        let metrics = Metrics::new("inference")
            .count("Scored", self.recorded().inserted)
            .count("Failed", self.failed())
            .count("Poison", self.poison);
        let Ok(scored) = &self.outcome else {
            return metrics;
        };
        let metrics = metrics
            .count("BundleLoadFailed", u64::from(scored.load_failed))
            .seconds("OldestUnscoredAge", scored.oldest_unscored.unwrap_or_default().as_secs_f64());
        if scored.texts == 0 {
            return metrics;
        }
        metrics.millis("MillisecondsPerItem", self.took.as_secs_f64() * 1000.0 / scored.texts as f64)
    }

    /// One line for the whole batch.
    pub fn log(&self) {
        match &self.outcome {
            Ok(scored) => tracing::info!(
                model = %scored.model,
                items = self.items,
                scored = scored.recorded.inserted,
                known = scored.recorded.known,
                superseded = scored.recorded.superseded,
                done_before = self.items - scored.texts,
                failed = scored.failed.len(),
                poison = self.poison,
                milliseconds = self.took.as_millis() as u64,
                "batch done"
            ),
            Err(error) => tracing::error!(
                items = self.items,
                poison = self.poison,
                retryable = error.is_retryable(),
                reason = %error,
                "no item of the batch was scored; all come again"
            ),
        }
    }
}
