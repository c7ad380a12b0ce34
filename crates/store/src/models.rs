//! Which models there are, and which is in service.

use chrono::{DateTime, Utc};
use modloop_domain::{Label, ModelVersion, Probability};
use serde_json::Value;
use tokio_postgres::Row;

use crate::{Store, StoreError};

/// A model as `register_model` takes it.
#[derive(Debug, Clone)]
pub struct NewModel {
    /// Names it for good.
    pub version: ModelVersion,
    /// In the order of its scores.
    pub labels: Vec<Label>,
    /// What the monitor compares with: the bundle's baseline.
    pub baseline: Value,
    /// What evaluation measured, for people.
    pub metrics: Value,
    /// `s3://…`; `None` for the bundle that ships inside the function.
    pub bundle_uri: Option<String>,
}

/// What the aliases say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Serving {
    /// `None`: the bundle that ships inside the function.
    pub champion: Option<AliasedModel>,
    /// A model on trial.
    pub challenger: Option<Challenger>,
}

/// A model an alias points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasedModel {
    /// Its name.
    pub version: ModelVersion,
    /// Where its bundle lies; `None` for the bundle that ships inside the function.
    pub bundle_uri: Option<String>,
    /// Since when the alias points to it.
    pub since: DateTime<Utc>,
}

/// A model on trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Challenger {
    /// Which one.
    pub model: AliasedModel,
    /// How far it is let.
    pub mode: ChallengerMode,
    /// The share of items it scores.
    pub share: Probability,
}

/// How far a challenger is let.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChallengerMode {
    /// Scores beside the champion and decides nothing.
    Shadow,
    /// Decides for its share of the items.
    Canary,
}

const SERVING: &str = "
    select a.mode, a.share, a.updated_at, m.version, m.bundle_uri
    from model_aliases a join models m on m.version = a.model_version";

impl Store {
    /// What the aliases say now. Asked with every batch, so that a switch takes seconds.
    pub async fn serving(&self) -> Result<Serving, StoreError> {
        let error = StoreError::query("reading which model is in service");
        let mut serving = Serving::default();
        for row in self.client.query(SERVING, &[]).await.map_err(&error)? {
            let model = aliased(&row)?;
            let mode = match row.try_get("mode").map_err(&error)? {
                "shadow" => ChallengerMode::Shadow,
                "canary" => ChallengerMode::Canary,
                _ => {
                    serving.champion = Some(model);
                    continue;
                }
            };
            let share = Probability::new(row.try_get("share").map_err(&error)?)
                .map_err(|e| StoreError::corrupt(format!("a challenger with a share of {e}")))?;
            serving.challenger = Some(Challenger { model, mode, share });
        }
        Ok(serving)
    }

    /// What a known model scores, in the order of its scores.
    pub async fn model_labels(&self, model: &ModelVersion) -> Result<Vec<Label>, StoreError> {
        let error = StoreError::query("reading a model's labels");
        let row =
            self.client.query_one("select labels from models where version = $1", &[&model.as_str()]).await;
        let labels: Vec<String> = row.map_err(&error)?.try_get("labels").map_err(&error)?;
        let refused = |e| StoreError::corrupt(format!("model {model} with a label that is refused: {e}"));
        labels.into_iter().map(|label| label.parse().map_err(refused)).collect()
    }

    /// Makes a model known, once: a version that is already there must be the same model.
    pub async fn register_model(&self, model: &NewModel) -> Result<(), StoreError> {
        let error = StoreError::query("registering the model");
        let labels: Vec<&str> = model.labels.iter().map(Label::as_str).collect();
        let version = model.version.as_str();
        self.client
            .execute(
                "insert into models (version, labels, baseline, metrics, bundle_uri)
                 values ($1, $2, $3, $4, $5) on conflict (version) do nothing",
                &[&version, &labels, &model.baseline, &model.metrics, &model.bundle_uri],
            )
            .await
            .map_err(&error)?;
        let row = self
            .client
            .query_one(
                "select labels = $2, baseline = $3 from models where version = $1",
                &[&version, &labels, &model.baseline],
            )
            .await
            .map_err(&error)?;
        for (column, differs) in [(0, "list of labels"), (1, "baseline")] {
            if !row.try_get::<_, bool>(column).map_err(&error)? {
                return Err(StoreError::ModelDiffers { version: version.to_owned(), differs });
            }
        }
        Ok(())
    }
}

fn aliased(row: &Row) -> Result<AliasedModel, StoreError> {
    let error = StoreError::query("reading which model is in service");
    let version: &str = row.try_get("version").map_err(&error)?;
    Ok(AliasedModel {
        version: version
            .parse()
            .map_err(|e| StoreError::corrupt(format!("a model whose name is refused: {e}")))?,
        bundle_uri: row.try_get("bundle_uri").map_err(&error)?,
        since: row.try_get("updated_at").map_err(&error)?,
    })
}
