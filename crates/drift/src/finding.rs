use std::fmt;

use modloop_domain::{Decision, Label};
use serde::{Serialize, Serializer};

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The scores of one label.
    Scores(Label),
    /// Shares of allow, review and remove.
    Decisions,
    /// How undecided the model is.
    Entropy,
    /// How long the texts are.
    Lengths,
    /// The share of tokens that the vocabulary does not know.
    UnknownTokens,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Scores(label) => write!(f, "{label}"),
            Subject::Decisions => f.write_str("decisions"),
            Subject::Entropy => f.write_str("entropy"),
            Subject::Lengths => f.write_str("text length"),
            Subject::UnknownTokens => f.write_str("unknown tokens"),
        }
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Population stability index.
    Psi,
    /// Wasserstein distance in standard deviations of the reference.
    WassersteinNormed,
    /// Kolmogorov–Smirnov statistic.
    Ks,
    /// Jensen–Shannon distance, natural logarithms.
    JsDistance,
    /// Largest change of a share, in absolute terms.
    ShareChange,
    /// F1 as CBPE estimates it.
    EstimatedF1,
    /// Precision as CBPE estimates it.
    EstimatedPrecision,
    /// F1 by labels.
    MeasuredF1,
    /// Precision by labels.
    MeasuredPrecision,
}

/// What counts as a movement where the reference does not say how much it varies by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// The threshold without enough chunks: evidently's 0.1 for distances.
    pub(crate) default: f64,
    /// No threshold is stricter, however regular the reference: less is not worth a retraining.
    pub(crate) least: f64,
}

impl Measure {
    /// For distances evidently's default, and a fifth of it at least. A moderator notices five points of
    /// a share, and ten of precision or F1.
    pub(crate) fn limits(self) -> Limits {
        match self {
            Measure::Psi | Measure::WassersteinNormed | Measure::Ks | Measure::JsDistance => {
                Limits { default: 0.1, least: 0.02 }
            }
            Measure::ShareChange => Limits { default: 0.05, least: 0.01 },
            Measure::EstimatedF1
            | Measure::EstimatedPrecision
            | Measure::MeasuredF1
            | Measure::MeasuredPrecision => Limits { default: 0.1, least: 0.02 },
        }
    }

    /// Whether the bad direction is down.
    pub(crate) fn is_performance(self) -> bool {
        use Measure::{EstimatedF1, EstimatedPrecision, MeasuredF1, MeasuredPrecision};
        matches!(self, EstimatedF1 | EstimatedPrecision | MeasuredF1 | MeasuredPrecision)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Measure::Psi => "PSI",
            Measure::WassersteinNormed => "normed Wasserstein distance",
            Measure::Ks => "KS statistic",
            Measure::JsDistance => "Jensen–Shannon distance",
            Measure::ShareChange => "share",
            Measure::EstimatedF1 => "estimated F1",
            Measure::EstimatedPrecision => "estimated precision",
            Measure::MeasuredF1 => "measured F1",
            Measure::MeasuredPrecision => "measured precision",
        })
    }
}

/// Where the line between variation and movement lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Threshold {
    /// The line.
    pub value: f64,
    /// Where it comes from.
    pub source: ThresholdSource,
}

/// Where a threshold comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ThresholdSource {
    /// Mean and three standard deviations over chunks of the reference.
    Chunks,
    /// The reference has too few chunks: a fixed number.
    Default,
}

/// What was there before and what is there now, where that says more than a distance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Change {
    /// The decision whose share changed, for decisions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// In the reference.
    pub from: f64,
    /// In the window.
    pub to: f64,
}

/// One statistic of one window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub subject: Subject,
    /// How.
    pub measure: Measure,
    /// The statistic: a distance, an absolute change, or a performance.
    pub value: f64,
    /// Before and now, for shares and performance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// What the value is held against.
    pub threshold: Threshold,
    /// How likely so much is by chance, before any correction for the number of tests.
    pub p: f64,
    /// Beyond the threshold, and not by chance.
    pub breached: bool,
}

impl Finding {
    /// How far on the way to the threshold: 1 is on it.
    pub fn severity(&self) -> f64 {
        let (moved, allowed) = match (self.measure.is_performance(), self.change) {
            (true, Some(change)) => (change.from - self.value, change.from - self.threshold.value),
            _ => (self.value, self.threshold.value),
        };
        moved / allowed.max(f64::MIN_POSITIVE)
    }

    /// Beyond its threshold, whatever chance says.
    pub(crate) fn is_beyond(&self) -> bool {
        if self.measure.is_performance() {
            self.value < self.threshold.value
        } else {
            self.value > self.threshold.value
        }
    }
}

/// "PSI of hate rose to 0.31, threshold 0.20".
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, measure, value, threshold: Threshold { value: threshold, .. }, .. } = self;
        let verb = |from: f64, to: f64| if to < from { "fell" } else { "rose" };
        match self.change {
            Some(Change { decision, from, to }) if *measure == Measure::ShareChange => {
                let of = decision.map_or_else(|| subject.to_string(), |decision| decision.to_string());
                let verb = verb(from, to);
                write!(f, "share of {of} {verb} by {value:.3} to {to:.3}, threshold {threshold:.3}")
            }
            Some(Change { from, to, .. }) => {
                let verb = verb(from, to);
                write!(f, "{measure} of {subject} {verb} from {from:.2} to {to:.2}, threshold {threshold:.2}")
            }
            None if self.is_beyond() => {
                write!(f, "{measure} of {subject} rose to {value:.2}, threshold {threshold:.2}")
            }
            None => write!(f, "{measure} of {subject} is {value:.2}, threshold {threshold:.2}"),
        }
    }
}
