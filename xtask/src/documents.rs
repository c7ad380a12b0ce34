//! Settings and permission that a stack on this machine begins with. What an operator changed later stays.

use anyhow::{Context, Result};
use modloop_domain::Actor;
use modloop_operator::Operator;
use modloop_store::Store;
use serde_json::{Value, json};

use crate::retraining::{HYPERPARAMETERS, Labelers};

/// What a stack begins with.
pub(crate) struct Documents<'a> {
    pub labelers: &'a Labelers,
    /// The feed is made up: brisk and small, and its texts were written for this project.
    pub synthetic: bool,
    /// The person states that texts of the real Reddit may be trained on.
    pub permitted: bool,
}

impl Documents<'_> {
    /// Writes what nobody has changed yet.
    pub(crate) async fn write(&self, store: &Store) -> Result<()> {
        let operator = Operator::new(store, Actor::local("up"));
        if self.synthetic {
            for (name, fields) in of_a_brisk_feed() {
                begin_with(&operator, name, &fields).await?;
            }
        }
        let hyperparameters: serde_json::Map<String, Value> =
            HYPERPARAMETERS.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
        begin_with(&operator, "training", &json!({"hyperparameters": hyperparameters})).await?;
        if let Some((model, (input, output))) = self.labelers.model() {
            let fields = json!({"model": model, "input_price": input, "output_price": output});
            begin_with(&operator, "labeler", &fields).await?;
        }
        let statement = match (self.synthetic, self.permitted) {
            (true, _) => "The texts of the synthetic feed were written for this project.",
            (false, true) => "TRAINING_PERMISSION is on in the environment of `cargo xtask up`.",
            (false, false) => return Ok(()),
        };
        if store.training_permission().await?.is_none() {
            operator.grant_training(statement, None).await?;
        }
        Ok(())
    }
}

async fn begin_with(operator: &Operator<'_>, name: &str, fields: &Value) -> Result<()> {
    let history = operator.settings(name).await?;
    if history.first().is_none_or(|latest| latest.version == 0) {
        operator.change_settings(name, fields).await.with_context(|| format!("settings {name}"))?;
    }
    Ok(())
}

/// Nobody waits a day for a verdict.
fn of_a_brisk_feed() -> [(&'static str, Value); 4] {
    let trial = |items: u32| json!({"items": items, "hours": 0.2, "min_items": 30});
    [
        (
            "monitor",
            json!({"window_hours": 0.1, "min_items": 100, "reference_items": 200, "cooldown_hours": 0.5,
                "bucket_minutes": 1}),
        ),
        ("sampling", json!({"items": 800, "min_class": 10, "min_gold_class": 3})),
        ("trials", json!({"shadow": trial(240), "canary": trial(60), "canary_share": 0.5})),
        // Two hundred gold texts and one short lesson cannot show what the usual margins ask for.
        (
            "gate",
            json!({"identity_margin": 0.1, "identity_mean_margin": 0.03, "community_margin": 0.1,
                "functional_margin": 0.02}),
        ),
    ]
}
