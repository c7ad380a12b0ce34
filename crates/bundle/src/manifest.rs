use std::collections::{BTreeMap, BTreeSet};

use modloop_domain::{Label, ModelVersion, Probability, ProbabilityError, Thresholds};
use serde::{Deserialize, Serialize};

use crate::{Baseline, files};

/// The only format there is.
pub(crate) const FORMAT: u32 = 1;

/// What `bundle.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this layout: 1.
    pub format: u32,
    /// Names the model for good.
    pub version: ModelVersion,
    /// What the model's outputs mean, in the order of its logits.
    pub labels: Vec<Label>,
    /// How long texts are cut.
    pub windowing: Windowing,
    /// Per label, from logit to probability.
    pub calibration: BTreeMap<Label, Calibration>,
    /// Where decisions change, unless a subreddit has thresholds of its own.
    pub thresholds: Thresholds,
    /// What was measured on the validation set; for people, not read by the code.
    pub metrics: serde_json::Value,
    /// What the monitor compares with.
    pub baseline: Baseline,
    /// What the model was fine-tuned from.
    pub base_model: BaseModel,
    /// What it was fine-tuned on.
    pub data_sources: Vec<DataSource>,
    /// Every other file of the bundle.
    pub files: BTreeMap<String, FileEntry>,
}

impl Manifest {
    /// What is inconsistent in the manifest, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.format != FORMAT {
            let format = self.format;
            return Some(format!("has format {format}, this program reads {FORMAT}; use a matching release"));
        }
        let labels: BTreeSet<&Label> = self.labels.iter().collect();
        if labels.is_empty() || labels.len() != self.labels.len() {
            return Some("labels are empty or repeated".to_owned());
        }
        if let Some(label) = self.labels.iter().find(|label| !self.calibration.contains_key(label)) {
            return Some(format!("has no calibration for label {label}; assemble the bundle again"));
        }
        if let Some(label) = self.calibration.keys().find(|label| !labels.contains(label)) {
            return Some(format!("has a calibration for {label}, which is none of its labels"));
        }
        if let Err(error) = Thresholds::new(self.thresholds.review(), self.thresholds.remove()) {
            return Some(error.to_string());
        }
        self.baseline.problem(&self.labels).or_else(|| self.files_problem())
    }

    fn files_problem(&self) -> Option<String> {
        for needed in [files::MODEL, files::TOKENIZER, files::CONFIG] {
            if !self.files.contains_key(needed) {
                return Some(format!("lists no file {needed}; assemble the bundle again"));
            }
        }
        // A name is joined to the bundle's folder: nothing in it may lead elsewhere.
        let leads_away = |name: &&String| name.contains(['/', '\\', '\0']) || name.starts_with('.');
        self.files.keys().find(leads_away).map(|name| format!("{name:?} is no plain file name"))
    }
}

/// How a long text is cut into windows that the model can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawWindowing")]
pub struct Windowing {
    tokens: usize,
    overlap: usize,
    limit: usize,
}

#[derive(Deserialize)]
struct RawWindowing {
    tokens: usize,
    overlap: usize,
    limit: usize,
}

/// Why numbers are no [`Windowing`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "windowing of {tokens} tokens, overlap {overlap}, limit {limit} cannot be used: \
     a window holds two special tokens and must move on by at least one, and one window is the least"
)]
pub struct WindowingError {
    tokens: usize,
    overlap: usize,
    limit: usize,
}

impl Windowing {
    /// `tokens` per window with the two special ones, `overlap` of them shared by neighbours, at most
    /// `limit` windows of a text.
    pub fn new(tokens: usize, overlap: usize, limit: usize) -> Result<Self, WindowingError> {
        if limit >= 1 && tokens >= 3 && overlap < tokens - 2 {
            Ok(Self { tokens, overlap, limit })
        } else {
            Err(WindowingError { tokens, overlap, limit })
        }
    }

    /// Tokens in a full window, `[CLS]` and `[SEP]` included.
    pub fn tokens(self) -> usize {
        self.tokens
    }

    /// Tokens that a window shares with the one before.
    pub fn overlap(self) -> usize {
        self.overlap
    }

    /// The most windows of one text; what lies behind them is not scored.
    pub fn limit(self) -> usize {
        self.limit
    }
}

impl Default for Windowing {
    fn default() -> Self {
        Self { tokens: 128, overlap: 32, limit: 16 }
    }
}

impl TryFrom<RawWindowing> for Windowing {
    type Error = WindowingError;

    fn try_from(raw: RawWindowing) -> Result<Self, Self::Error> {
        Self::new(raw.tokens, raw.overlap, raw.limit)
    }
}

/// From a logit to a probability: p = 1 / (1 + exp(-(slope · logit + intercept))) (Platt 1999).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawCalibration")]
pub struct Calibration {
    slope: f64,
    intercept: f64,
}

#[derive(Deserialize)]
struct RawCalibration {
    slope: f64,
    intercept: f64,
}

/// Why numbers are no [`Calibration`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "calibration with slope {slope}, intercept {intercept}: both must be finite and the slope positive, \
     or a higher logit would mean a lower probability"
)]
pub struct CalibrationError {
    slope: f64,
    intercept: f64,
}

impl Calibration {
    /// Logits taken as they are: p = sigmoid(logit).
    pub const IDENTITY: Self = Self { slope: 1.0, intercept: 0.0 };

    /// Refuses numbers that turn the order of logits round.
    pub fn new(slope: f64, intercept: f64) -> Result<Self, CalibrationError> {
        if slope.is_finite() && slope > 0.0 && intercept.is_finite() {
            Ok(Self { slope, intercept })
        } else {
            Err(CalibrationError { slope, intercept })
        }
    }

    /// What a logit is multiplied with.
    pub fn slope(self) -> f64 {
        self.slope
    }

    /// What is added to the product.
    pub fn intercept(self) -> f64 {
        self.intercept
    }

    /// The calibrated probability; an error when the logit is not a number.
    pub fn apply(self, logit: f32) -> Result<Probability, ProbabilityError> {
        let z = self.slope * f64::from(logit) + self.intercept;
        Probability::new((1.0 / (1.0 + (-z).exp())) as f32)
    }
}

impl TryFrom<RawCalibration> for Calibration {
    type Error = CalibrationError;

    fn try_from(raw: RawCalibration) -> Result<Self, Self::Error> {
        Self::new(raw.slope, raw.intercept)
    }
}

/// What a model was fine-tuned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseModel {
    /// As its makers call it.
    pub name: String,
    /// SPDX identifier.
    pub licence: String,
    /// Of its `model.safetensors`.
    pub sha256: String,
}

/// A data set a model was fine-tuned on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSource {
    /// As its makers call it.
    pub name: String,
    /// SPDX identifier, or what is known.
    pub licence: String,
    /// Texts taken from it.
    pub lines: u64,
}

/// A file as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Lower-case hex.
    pub sha256: String,
    /// Lower-case hex. As safe as the other and ten times faster, so it is checked instead where it is
    /// there; older bundles leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<String>,
    /// Length.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn windows_that_cannot_move_on_are_refused() {
        assert!(Windowing::new(128, 32, 16).is_ok() && Windowing::new(3, 0, 1).is_ok());
        for (tokens, overlap, limit) in [(2, 0, 1), (128, 126, 1), (128, 32, 0)] {
            assert!(Windowing::new(tokens, overlap, limit).is_err(), "{tokens} {overlap} {limit}");
        }
    }

    proptest! {
        #[test]
        fn a_higher_logit_never_gets_a_lower_probability(
            slope in 0.01f64..10.0, intercept in -10f64..10.0, a in -50f32..50.0, b in -50f32..50.0
        ) {
            let calibration = Calibration::new(slope, intercept).expect("in order");
            let (low, high) = (calibration.apply(a.min(b)), calibration.apply(a.max(b)));
            prop_assert!(low.expect("a number") <= high.expect("a number"));
        }
    }

    #[test]
    fn a_logit_that_is_no_number_is_no_probability() {
        assert!(Calibration::IDENTITY.apply(f32::NAN).is_err());
        assert_eq!(Calibration::IDENTITY.apply(f32::INFINITY).map(f32::from), Ok(1.0));
    }
}
