//! AdamW with the parameter groups of BERT fine-tuning, and the course of the learning rate.

use tch::nn::{AdamW, Optimizer, OptimizerConfig, VarStore};

use crate::TrainError;

/// Part of the model with its own learning rate. Each part has two parameter groups: weights that
/// decay, and biases and norms that do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group(usize);

impl Group {
    /// Embeddings and transformer layers.
    pub const ENCODER: Self = Self(0);
    /// The classifier on top.
    pub const HEAD: Self = Self(2);

    /// Number of the group whose weights decay.
    pub fn decayed(self) -> usize {
        self.0
    }

    /// Number of the group whose weights do not.
    pub fn plain(self) -> usize {
        self.0 + 1
    }
}

/// Learning rates and what restrains them.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rates {
    /// Peak rate of the encoder.
    pub learning_rate: f64,
    /// Peak rate of the fresh head.
    pub head_learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Share of all steps over which the rate rises from zero; then it falls to zero.
    pub warmup: f64,
    /// Largest L2 norm of all gradients together.
    pub clip: f64,
}

/// AdamW over all weights of `store`.
pub fn build(store: &VarStore, rates: &Rates) -> Result<Optimizer, TrainError> {
    let mut optimizer = AdamW::default().wd(rates.weight_decay).build(store, 0.0)?;
    for part in [Group::ENCODER, Group::HEAD] {
        optimizer.set_weight_decay_group(part.decayed(), rates.weight_decay);
        optimizer.set_weight_decay_group(part.plain(), 0.0);
    }
    Ok(optimizer)
}

/// Sets the rates for `step` (counted from 0) of `steps`.
pub fn set_rates(optimizer: &mut Optimizer, rates: &Rates, step: usize, steps: usize) {
    let share = course(step, steps, rates.warmup);
    for (part, peak) in [(Group::ENCODER, rates.learning_rate), (Group::HEAD, rates.head_learning_rate)] {
        optimizer.set_lr_group(part.decayed(), peak * share);
        optimizer.set_lr_group(part.plain(), peak * share);
    }
}

/// Share of the peak rate: up in a straight line over the warm-up, then down to zero in another.
fn course(step: usize, steps: usize, warmup: f64) -> f64 {
    let (step, steps) = (step as f64, steps.max(1) as f64);
    let rise = (warmup * steps).ceil();
    if step < rise { (step + 1.0) / rise } else { (steps - step) / (steps - rise).max(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::Init;
    use tch::{Device, Kind, Tensor};

    const RATES: Rates =
        Rates { learning_rate: 0.1, head_learning_rate: 0.1, weight_decay: 0.5, warmup: 0.0, clip: 1.0 };

    #[test]
    fn the_rate_rises_then_falls_to_zero() {
        let rates: Vec<f64> = (0..10).map(|s| course(s, 10, 0.2)).collect();
        assert_eq!(rates[..3], [0.5, 1.0, 1.0]);
        assert!(rates[2..].windows(2).all(|w| w[1] < w[0]));
        assert!((rates[9] - 0.125).abs() < 1e-12);
        assert!((0..7).all(|s| course(s, 7, 0.0) > 0.0 && course(s, 7, 0.0) <= 1.0));
    }

    #[test]
    fn only_weights_decay() {
        let store = VarStore::new(Device::Cpu);
        let weight = store.root().set_group(Group::HEAD.decayed()).var("weight", &[1], Init::Const(1.0));
        let bias = store.root().set_group(Group::HEAD.plain()).var("bias", &[1], Init::Const(1.0));
        let mut optimizer = build(&store, &RATES).expect("an optimiser");
        set_rates(&mut optimizer, &RATES, 0, 1);
        // A gradient of zero: what changes, changes by decay alone.
        let loss: Tensor = (&weight + &bias).sum(Kind::Float) * 0.0;
        optimizer.backward_step(&loss);
        assert!((weight.double_value(&[0]) - 0.95).abs() < 1e-6);
        assert_eq!(bias.double_value(&[0]), 1.0);
    }
}
