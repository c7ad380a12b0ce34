//! Fills a classifier with the tensors of a safetensors file.

use std::collections::HashMap;
use std::path::Path;

use tch::Tensor;

use crate::TrainError;
use crate::bert::Classifier;

/// What to do with the classifier on top of the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Keep the random one: the file was made for other labels, or for none.
    Fresh,
    /// Take the file's.
    FromFile,
}

/// Copies every weight of the model from `path`, whose names may start with `bert.`.
///
/// Tensors that the model has no use for, such as a pooler, are left alone.
pub fn load(model: &Classifier, path: &Path, head: Head) -> Result<(), TrainError> {
    let found: HashMap<String, Tensor> = Tensor::read_safetensors(path)?
        .into_iter()
        .map(|(name, tensor)| (name.strip_prefix("bert.").unwrap_or(&name).to_owned(), tensor))
        .collect();
    let wanted = model.store().variables();
    let wanted = wanted.iter().filter(|(name, _)| head == Head::FromFile || !name.starts_with("classifier."));
    for (name, weight) in wanted {
        let tensor = found
            .get(name)
            .ok_or_else(|| TrainError::MissingTensor { path: path.to_owned(), name: name.clone() })?;
        copy(weight, tensor, name, path)?;
    }
    Ok(())
}

fn copy(weight: &Tensor, tensor: &Tensor, name: &str, path: &Path) -> Result<(), TrainError> {
    if weight.size() != tensor.size() {
        return Err(TrainError::TensorShape {
            path: path.to_owned(),
            name: name.to_owned(),
            found: tensor.size(),
            expected: weight.size(),
        });
    }
    tch::no_grad(|| weight.shallow_clone().f_copy_(tensor))?;
    Ok(())
}
