//! How much the answers of a label count in the loss.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use modloop_domain::Label;

use crate::batches::Batch;

/// Weights of one label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassWeights {
    /// Of all its answers.
    pub label: f32,
    /// Of its "yes" beside its "no": above 1 where positives are rare.
    pub positive: f32,
}

impl Default for ClassWeights {
    fn default() -> Self {
        Self { label: 1.0, positive: 1.0 }
    }
}

impl ClassWeights {
    /// The weights of a batch's answers `[batch, labels]`: the lines' own, times those of the labels.
    pub fn apply(
        chosen: &BTreeMap<Label, Self>,
        labels: &[Label],
        batch: &Batch,
    ) -> Result<Tensor, TchError> {
        if chosen.is_empty() {
            return Ok(batch.weights.shallow_clone());
        }
        let of = |label| chosen.get(label).copied().unwrap_or_default();
        let device = batch.weights.device();
        let row = |values: Vec<f32>| Tensor::f_from_slice(&values)?.f_to_device(device);
        let negative = row(labels.iter().map(|label| of(label).label).collect())?;
        let more = row(labels.iter().map(|label| of(label).label * (of(label).positive - 1.0)).collect())?;
        batch.weights.f_mul(&batch.answers.f_mul(&more)?.f_add(&negative)?)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::tokens::Encoded;

    #[test]
    fn positives_and_labels_weigh_what_was_asked_for() {
        let line = |answers: [Option<bool>; 2]| Encoded {
            ids: vec![1],
            answers: answers.to_vec(),
            weight: 0.5,
            source: String::new(),
        };
        let lines = [line([Some(true), Some(true)]), line([Some(false), None])];
        let batch = Batch::new(&lines, &[0, 1], Device::Cpu).expect("tensors");
        let labels: [Label; 2] = ["hate", "offensive"].map(|l| l.parse().expect("a label"));
        let weights = |chosen: &[(Label, ClassWeights)]| -> Vec<Vec<f32>> {
            let chosen = chosen.iter().cloned().collect();
            ClassWeights::apply(&chosen, &labels, &batch).expect("a tensor").try_into().expect("rows")
        };
        assert_eq!(weights(&[]), [[0.5, 0.5], [0.5, 0.0]]);
        let hate = (labels[0].clone(), ClassWeights { label: 2.0, positive: 3.0 });
        assert_eq!(weights(&[hate]), [[3.0, 0.5], [1.0, 0.0]]);
    }
}
