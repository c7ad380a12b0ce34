use std::collections::BTreeMap;

use modloop_gate::{Policy, TrialPolicy};
use serde::{Deserialize, Serialize};

use crate::range::{number, share, whole};
use crate::{Document, Problem};

/// Which items a run has labeled, and how many labels it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Items to label in a run.
    pub items: usize,
    /// How far back they may be posted.
    pub lookback_hours: u32,
    /// Newest items of a community to choose from.
    pub candidates: u32,
    /// Share of items that is never trained on.
    pub gold_share: f64,
    /// Share of older labels in the data set.
    pub replay_share: f64,
    /// Texts with and without each label that a data set needs.
    pub min_class: usize,
    /// The same of the gold set.
    pub min_gold_class: usize,
    /// Cohen's kappa between labeler and people under which a run stops.
    pub min_agreement: f64,
    /// Labels in common from which on agreement is judged.
    pub agreement_labels: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            items: 1000,
            lookback_hours: 14 * 24,
            candidates: 5000,
            gold_share: 0.3,
            replay_share: 0.5,
            min_class: 20,
            min_gold_class: 5,
            min_agreement: 0.5,
            agreement_labels: 30,
        }
    }
}

impl Document for Sampling {
    const NAME: &'static str = "sampling";
    const ABOUT: &'static str = "Which items a run has labeled, and how many labels it needs";

    fn check(&self) -> Result<(), Problem> {
        whole("items", self.items as u64, 1..=50_000)?;
        whole("lookback_hours", self.lookback_hours.into(), 1..=8784)?;
        whole("candidates", self.candidates.into(), 1..=100_000)?;
        number("gold_share", self.gold_share, 0.01..=0.99)?;
        number("replay_share", self.replay_share, 0.0..=0.95)?;
        whole("min_class", self.min_class as u64, 1..=10_000)?;
        whole("min_gold_class", self.min_gold_class as u64, 1..=10_000)?;
        number("min_agreement", self.min_agreement, -1.0..=1.0)?;
        whole("agreement_labels", self.agreement_labels, 1..=10_000)
    }
}

/// What labeling may cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// Tokens for one run.
    pub run_tokens: u64,
    /// Dollars for one run.
    pub run_dollars: f64,
    /// Tokens in a month.
    pub month_tokens: u64,
    /// Dollars in a month.
    pub month_dollars: f64,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { run_tokens: 3_000_000, run_dollars: 2.0, month_tokens: 10_000_000, month_dollars: 10.0 }
    }
}

impl Document for Budgets {
    const NAME: &'static str = "budgets";
    const ABOUT: &'static str = "What labeling may cost, for a run and for a month";

    fn check(&self) -> Result<(), Problem> {
        whole("run_tokens", self.run_tokens, 0..=10_000_000_000)?;
        number("run_dollars", self.run_dollars, 0.0..=100_000.0)?;
        whole("month_tokens", self.month_tokens, 0..=10_000_000_000)?;
        number("month_dollars", self.month_dollars, 0.0..=100_000.0)
    }
}

/// How strict the gate is. The fields are those of [`Policy`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gate(pub Policy);

impl Document for Gate {
    const NAME: &'static str = "gate";
    const ABOUT: &'static str = "How strict the gate is with a challenger";

    fn check(&self) -> Result<(), Problem> {
        let Self(policy) = self;
        number("confidence", policy.confidence, 0.5..=0.9999)?;
        whole("resamples", policy.resamples as u64, 100..=1_000_000)?;
        share("overall_margin", policy.overall_margin)?;
        share("community_margin", policy.community_margin)?;
        share("label_margin", policy.label_margin)?;
        whole("slice_items", policy.slice_items as u64, 1..=1_000_000)?;
        share("identity_margin", policy.identity_margin)?;
        share("identity_mean_margin", policy.identity_mean_margin)?;
        share("functional_margin", policy.functional_margin)?;
        share("parity_flips", policy.parity_flips)?;
        whole("bundle_bytes", policy.bundle_bytes, 1..=(10 << 30))?;
        number("latency_ratio", policy.latency_ratio, 0.1..=100.0)
    }
}

/// How a challenger's trial is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trials {
    /// While it scores beside the champion.
    pub shadow: TrialPolicy,
    /// While it decides for a share of the items.
    pub canary: TrialPolicy,
    /// Share of items that it scores in shadow.
    pub shadow_share: f32,
    /// Share of items that it decides in canary.
    pub canary_share: f32,
}

impl Default for Trials {
    fn default() -> Self {
        Self {
            shadow: TrialPolicy::default(),
            canary: TrialPolicy::default(),
            shadow_share: 1.0,
            canary_share: 0.1,
        }
    }
}

impl Document for Trials {
    const NAME: &'static str = "trials";
    const ABOUT: &'static str = "How a challenger's trial in shadow and canary is judged";

    fn check(&self) -> Result<(), Problem> {
        for (name, policy) in [("shadow", &self.shadow), ("canary", &self.canary)] {
            trial(policy).map_err(|problem| problem.within(name))?;
        }
        number("shadow_share", self.shadow_share.into(), 0.001..=1.0)?;
        number("canary_share", self.canary_share.into(), 0.001..=1.0)
    }
}

fn trial(policy: &TrialPolicy) -> Result<(), Problem> {
    whole("items", policy.items, 1..=10_000_000)?;
    number("hours", policy.hours, 0.0..=8784.0)?;
    whole("min_items", policy.min_items, 1..=policy.items.max(1))?;
    share("error_margin", policy.error_margin)?;
    whole("load_failures", policy.load_failures, 1..=1000)?;
    number("latency_ratio", policy.latency_ratio, 0.1..=100.0)?;
    share("shift_margin", policy.shift_margin)?;
    number("significance", policy.significance, 0.0001..=0.5)
}

/// When runs happen, and what the trainer is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// A run without a request after so many days; 0 never.
    pub every_days: f64,
    /// Hours that a step may fail for passing reasons before the run fails.
    pub patience_hours: f64,
    /// Passed to the trainer.
    pub hyperparameters: BTreeMap<String, String>,
}

impl Default for Training {
    fn default() -> Self {
        Self { every_days: 0.0, patience_hours: 24.0, hyperparameters: BTreeMap::new() }
    }
}

impl Document for Training {
    const NAME: &'static str = "training";
    const ABOUT: &'static str = "When runs happen, and what the trainer is told";

    fn check(&self) -> Result<(), Problem> {
        number("every_days", self.every_days, 0.0..=3660.0)?;
        number("patience_hours", self.patience_hours, 0.0..=8784.0)?;
        whole("hyperparameters", self.hyperparameters.len() as u64, 0..=100)
    }
}
