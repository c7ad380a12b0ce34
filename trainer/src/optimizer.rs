//! AdamW with the parameter groups of BERT fine-tuning, and the course of the learning rate.
//!
//! libtorch's own optimiser hides its state from `tch`. Here it lies open: a checkpoint holds it, and a run that
//! goes on from there takes the same steps as one that was never cut off.

use std::collections::HashMap;
use std::path::Path;

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::TrainError;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Learning rates and what restrains them.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rates {
    /// Peak rate of the encoder's top layer.
    pub learning_rate: f64,
    /// Peak rate of the head.
    pub head_learning_rate: f64,
    /// Each layer learns at this share of the rate of the layer above it, the embeddings at this share of the
    /// lowest layer's (Sun et al. 2019, "How to Fine-Tune BERT for Text Classification?", 5.3.3). 1 treats all alike.
    #[serde(default = "alike")]
    pub layer_decay: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Share of all steps over which the rate rises from zero; then it falls to zero.
    pub warmup: f64,
    /// Largest L2 norm of all gradients together.
    pub clip: f64,
}

fn alike() -> f64 {
    1.0
}

/// Where a tensor sits in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Embeddings,
    /// Counted from 0, upwards.
    Layer(usize),
    Head,
}

impl Place {
    fn of(name: &str) -> Self {
        let layer = name.strip_prefix("encoder.layer.").and_then(|rest| rest.split('.').next()?.parse().ok());
        match layer {
            Some(number) => Self::Layer(number),
            None if name.starts_with("classifier.") => Self::Head,
            None => Self::Embeddings,
        }
    }

    /// The peak rate here, in a model of `layers` layers.
    fn rate(self, rates: &Rates, layers: usize) -> f64 {
        let below = |steps: usize| rates.learning_rate * rates.layer_decay.powf(steps as f64);
        match self {
            Self::Head => rates.head_learning_rate,
            Self::Layer(number) => below(layers - 1 - number),
            Self::Embeddings => below(layers),
        }
    }
}

/// Biases and norms do not decay: they are few, and zero is nothing special to them.
fn decays(name: &str) -> bool {
    name.ends_with(".weight") && !name.ends_with("LayerNorm.weight")
}

/// A tensor of the model and what AdamW remembers of it.
#[derive(Debug)]
struct Parameter {
    name: String,
    weight: Tensor,
    rate: f64,
    decay: f64,
    /// Moving mean of the gradient.
    mean: Tensor,
    /// Moving mean of its square.
    square: Tensor,
}

impl Parameter {
    /// One step as torch takes it (Loshchilov & Hutter 2019). The gradient's memory serves as scratch space, so
    /// that nothing is allocated; its content is spent afterwards.
    fn step(&mut self, share: f64, step: i32) -> Result<(), tch::TchError> {
        let rate = self.rate * share;
        let mut scratch = self.weight.grad();
        if !scratch.defined() || rate == 0.0 {
            return Ok(());
        }
        let mut weight = self.weight.shallow_clone();
        let _ = weight.f_mul_scalar_(1.0 - rate * self.decay)?;
        let _ = self.mean.f_lerp_(&scratch, 1.0 - BETA1)?;
        let _ = self.square.f_lerp_(&scratch.f_square_()?, 1.0 - BETA2)?;
        // weight -= size · mean / (√square / correction + ε), with all factors put below the line.
        let size = rate / (1.0 - BETA1.powi(step));
        let correction = (1.0 - BETA2.powi(step)).sqrt();
        scratch.f_copy_(&self.square)?;
        let factor = -1.0 / (correction * size);
        let below = scratch.f_sqrt_()?.f_mul_scalar_(factor)?.f_add_scalar_(-EPSILON / size)?;
        let _ = weight.f_addcdiv_(&self.mean, &below)?;
        Ok(())
    }

    /// Names of the two moments in a file, and the tensors.
    fn moments(&self) -> [(String, &Tensor); 2] {
        [(format!("mean.{}", self.name), &self.mean), (format!("square.{}", self.name), &self.square)]
    }
}

/// AdamW over all weights of a model.
#[derive(Debug)]
pub struct AdamW {
    /// By name: sums over them must come out the same in every run.
    parameters: Vec<Parameter>,
    clip: f64,
    warmup: f64,
}

impl AdamW {
    /// With empty memory.
    pub fn new(store: &VarStore, rates: &Rates) -> Result<Self, TrainError> {
        let mut named: Vec<(String, Tensor)> = store.variables().into_iter().collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        let numbers = named.iter().filter_map(|(name, _)| match Place::of(name) {
            Place::Layer(number) => Some(number + 1),
            _ => None,
        });
        let layers = numbers.max().unwrap_or(0);
        let parameter = |(name, weight): (String, Tensor)| {
            Ok(Parameter {
                rate: Place::of(&name).rate(rates, layers),
                decay: if decays(&name) { rates.weight_decay } else { 0.0 },
                mean: tch::no_grad(|| weight.f_zeros_like())?,
                square: tch::no_grad(|| weight.f_zeros_like())?,
                weight,
                name,
            })
        };
        let parameters = named.into_iter().map(parameter).collect::<Result<_, TrainError>>()?;
        Ok(Self { parameters, clip: rates.clip, warmup: rates.warmup })
    }

    /// Takes one step down the slope of `loss`; `step` is counted from 0, of `steps` in all.
    ///
    /// Gives the norm of all gradients together. When that is no finite number, no weight was touched.
    pub fn step(&mut self, loss: &Tensor, step: usize, steps: usize) -> Result<f64, TrainError> {
        self.zero_gradients()?;
        loss.f_backward()?;
        let share = course(step, steps, self.warmup);
        tch::no_grad(|| {
            let norm = self.clip_gradients()?;
            if norm.is_finite() {
                let count = i32::try_from(step + 1).unwrap_or(i32::MAX);
                self.parameters.iter_mut().try_for_each(|p| p.step(share, count))?;
            }
            Ok(norm)
        })
    }

    fn zero_gradients(&self) -> Result<(), TrainError> {
        for mut gradient in self.gradients() {
            let _ = gradient.f_zero_()?;
        }
        Ok(())
    }

    fn gradients(&self) -> impl Iterator<Item = Tensor> {
        self.parameters.iter().map(|p| p.weight.grad()).filter(Tensor::defined)
    }

    /// As torch's `clip_grad_norm_`. Gives the norm before clipping.
    fn clip_gradients(&self) -> Result<f64, TrainError> {
        let norms = self.gradients().map(|g| g.f_norm()).collect::<Result<Vec<_>, _>>()?;
        let norm = Tensor::f_stack(&norms, 0)?.f_norm()?.f_double_value(&[])?;
        let factor = self.clip / (norm + 1e-6);
        if factor < 1.0 {
            for mut gradient in self.gradients() {
                let _ = gradient.f_mul_scalar_(factor)?;
            }
        }
        Ok(norm)
    }

    /// Writes what it remembers: twice the size of the weights.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let on_cpu = |(name, tensor): (String, &Tensor)| {
            Ok((name, tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?))
        };
        let moments = self.parameters.iter().flat_map(Parameter::moments).map(on_cpu);
        let moments = moments.collect::<Result<Vec<_>, TrainError>>()?;
        Tensor::write_safetensors(&moments, path).map_err(TrainError::write(path))
    }

    /// Remembers what [`save`](Self::save) wrote.
    pub fn load(&mut self, path: &Path) -> Result<(), TrainError> {
        let found: HashMap<String, Tensor> =
            Tensor::read_safetensors(path).map_err(TrainError::base(path))?.into_iter().collect();
        for parameter in &self.parameters {
            for (name, moment) in parameter.moments() {
                let saved = found.get(&name).filter(|saved| saved.size() == moment.size());
                let saved = saved.ok_or_else(|| TrainError::MissingTensor { path: path.to_owned(), name })?;
                moment.shallow_clone().f_copy_(saved)?;
            }
        }
        Ok(())
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
    use tch::nn::{self, Init, OptimizerConfig};

    const RATES: Rates = Rates {
        learning_rate: 0.1,
        head_learning_rate: 0.1,
        layer_decay: 1.0,
        weight_decay: 0.5,
        warmup: 0.0,
        clip: 1.0,
    };

    fn store(names: &[&str]) -> VarStore {
        let store = VarStore::new(Device::Cpu);
        for name in names {
            let (path, last) = name.rsplit_once('.').expect("a dotted name");
            let at = path.split('.').fold(store.root(), |at, part| &at / part);
            let _ = at.var(last, &[4], Init::Const(1.0));
        }
        store
    }

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
        let store = store(&["classifier.weight", "classifier.bias", "embeddings.LayerNorm.weight"]);
        let mut optimizer = AdamW::new(&store, &RATES).expect("an optimiser");
        // A gradient of zero: what changes, changes by decay alone.
        let sum = store.variables().values().fold(Tensor::from(0.0f32), |sum, v| sum + v.sum(Kind::Float));
        optimizer.step(&(sum * 0.0), 0, 1).expect("a step");
        let value = |name: &str| store.variables()[name].double_value(&[0]);
        assert!((value("classifier.weight") - 0.95).abs() < 1e-6);
        assert_eq!(value("classifier.bias"), 1.0);
        assert_eq!(value("embeddings.LayerNorm.weight"), 1.0);
    }

    #[test]
    fn lower_layers_learn_more_slowly() {
        let rates = Rates { layer_decay: 0.5, head_learning_rate: 7.0, ..RATES };
        let rate = |name| Place::of(name).rate(&rates, 2);
        assert_eq!(rate("classifier.bias"), 7.0);
        assert_eq!(rate("encoder.layer.1.output.dense.weight"), 0.1);
        assert_eq!(rate("encoder.layer.0.output.dense.weight"), 0.05);
        assert_eq!(rate("embeddings.word_embeddings.weight"), 0.025);
    }

    /// Losses whose gradients are now small, now large, now zero in places.
    fn slope(weight: &Tensor, step: i64) -> Tensor {
        let push = Tensor::from_slice(&[0.3f32, -4.0, 0.0, 1e-4]) * (1.0 + (step as f64).sin());
        ((weight - 0.2).pow_tensor_scalar(2) * push).sum(Kind::Float)
    }

    #[test]
    fn steps_equal_those_of_libtorch() {
        let (ours, theirs) = (store(&["classifier.weight"]), store(&["classifier.weight"]));
        let mut optimizer = AdamW::new(&ours, &RATES).expect("an optimiser");
        let mut reference = nn::AdamW::default().wd(0.5).build(&theirs, 0.1).expect("libtorch's");
        let (a, b) = (&ours.variables()["classifier.weight"], &theirs.variables()["classifier.weight"]);
        for step in 0..30 {
            reference.set_lr(0.1 * course(step, 30, 0.0));
            reference.backward_step_clip_norm(&slope(b, step as i64), 1.0);
            optimizer.step(&slope(a, step as i64), step, 30).expect("a step");
            let apart = (a - b).abs().max().double_value(&[]);
            assert!(apart < 2e-6, "{apart} apart after step {step}");
        }
    }

    #[test]
    fn a_gradient_that_is_no_number_touches_nothing() {
        let store = store(&["classifier.weight"]);
        let weight = &store.variables()["classifier.weight"];
        let mut optimizer = AdamW::new(&store, &RATES).expect("an optimiser");
        let norm = optimizer.step(&(weight.sum(Kind::Float) * f64::NAN), 0, 1).expect("no torch error");
        assert!(norm.is_nan());
        assert_eq!(weight.double_value(&[0]), 1.0);
    }
}
