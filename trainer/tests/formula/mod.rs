//! Weights that Python and Rust both compute, so that no file has to travel.

use tch::{Kind, Tensor};

use modloop_trainer::bert::Classifier;

/// Tensors sorted by name, element i of tensor k is `size · sin(1.7 k + 0.37 i)`, plus 1 for the weights of layer norms.
pub(crate) fn fill(model: &Classifier, size: f64) {
    let mut variables: Vec<(String, Tensor)> = model.store().variables().into_iter().collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    for (k, (name, weight)) in variables.iter().enumerate() {
        let one = f64::from(u8::from(name.ends_with("LayerNorm.weight")));
        let values: Vec<f64> =
            (0..weight.numel()).map(|i| one + size * (1.7 * k as f64 + 0.37 * i as f64).sin()).collect();
        let values = Tensor::from_slice(&values).to_kind(Kind::Float).view(weight.size().as_slice());
        tch::no_grad(|| weight.shallow_clone().copy_(&values));
    }
}
