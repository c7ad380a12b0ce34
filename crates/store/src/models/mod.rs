//! Which models there are, which is in service, every switch of an alias, and how a trial goes.

mod by_hand;
mod switching;
mod trials;

use chrono::{DateTime, Utc};
use modloop_domain::{Label, ModelVersion, Probability};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::row::{column, parsed, parsed_list};
use crate::{Store, StoreError};

pub use by_hand::SwitchError;
pub use switching::{KnownModel, Switch, SwitchAction, TrialStart};
pub use trials::{Health, HealthEntry, TrialNumbers};

/// A model as [`Store::register_model`] takes it.
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

/// A model that an alias points to.
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
    /// What it may do.
    pub mode: ChallengerMode,
    /// The share of items it scores.
    pub share: Probability,
}

/// What a challenger may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChallengerMode {
    /// Scores beside the champion and decides nothing.
    Shadow,
    /// Decides for its share of the items.
    Canary,
}

impl ChallengerMode {
    /// The word used in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            ChallengerMode::Shadow => "shadow",
            ChallengerMode::Canary => "canary",
        }
    }
}

const SERVING: &str = "
    select a.mode, a.share, a.updated_at, m.version, m.bundle_uri
    from model_aliases a join models m on m.id = a.model_id";

const REGISTER: &str = "
    insert into models (version, labels, baseline, metrics, bundle_uri)
    values ($1, $2, $3, $4, $5) on conflict (version) do nothing";

const DOING: &str = "reading which model is in service";

impl Store {
    /// What the aliases say now. Asked with every batch, so that a switch takes seconds.
    pub async fn serving(&self) -> Result<Serving, StoreError> {
        let mut serving = Serving::default();
        for row in self.rows(DOING, SERVING, &[]).await? {
            let model = aliased(&row)?;
            let mode = match column(&row, "mode")? {
                "shadow" => ChallengerMode::Shadow,
                "canary" => ChallengerMode::Canary,
                _ => {
                    serving.champion = Some(model);
                    continue;
                }
            };
            let share = Probability::new(column(&row, "share")?)
                .map_err(|e| StoreError::corrupt(format!("a challenger with a share that cannot be: {e}")))?;
            serving.challenger = Some(Challenger { model, mode, share });
        }
        Ok(serving)
    }

    /// What a known model scores, in the order of its scores.
    pub async fn model_labels(&self, model: &ModelVersion) -> Result<Vec<Label>, StoreError> {
        let sql = "select labels from models where version = $1";
        parsed_list(
            &self.row("reading a model's labels", sql, &[(&model.as_str(), Type::TEXT)]).await?,
            "labels",
        )
    }

    /// The baseline a model was registered with, as its bundle wrote it.
    pub async fn baseline(&self, model: &ModelVersion) -> Result<Value, StoreError> {
        let sql = "select baseline from models where version = $1";
        column(
            &self.row("reading a model's baseline", sql, &[(&model.as_str(), Type::TEXT)]).await?,
            "baseline",
        )
    }

    /// Makes a model known, once: a version that is already there must be the same model.
    pub async fn register_model(&self, model: &NewModel) -> Result<(), StoreError> {
        let doing = "registering a model";
        let labels: Vec<&str> = model.labels.iter().map(Label::as_str).collect();
        let version = model.version.as_str();
        let parameters = [
            (&version as _, Type::TEXT),
            (&labels as _, Type::TEXT_ARRAY),
            (&model.baseline as _, Type::JSONB),
            (&model.metrics as _, Type::JSONB),
            (&model.bundle_uri as _, Type::TEXT),
        ];
        self.change(doing, REGISTER, &parameters).await?;
        let sql = "select labels = $2 as labels, baseline = $3 as baseline from models where version = $1";
        let row = self.row(doing, sql, &parameters[..3]).await?;
        for (name, differs) in [("labels", "list of labels"), ("baseline", "baseline")] {
            if !column::<bool>(&row, name)? {
                return Err(StoreError::ModelDiffers { version: version.to_owned(), differs });
            }
        }
        Ok(())
    }
}

fn aliased(row: &Row) -> Result<AliasedModel, StoreError> {
    Ok(AliasedModel {
        version: parsed(row, "version")?,
        bundle_uri: column(row, "bundle_uri")?,
        since: column(row, "updated_at")?,
    })
}
