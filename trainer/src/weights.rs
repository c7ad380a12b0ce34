//! Fills a classifier with the tensors of a safetensors file.

use std::collections::HashMap;
use std::path::Path;

use tch::Tensor;

use modloop_domain::Label;

use crate::TrainError;
use crate::bert::Classifier;

/// Where the rows of the classifier on top of the encoder come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// Keep the random ones: the file was made for other labels, or for none.
    Fresh,
    /// Take the file's.
    FromFile,
    /// For each label, in the model's order, the file's row of that label, where it has one.
    Rows(Vec<Option<i64>>),
}

impl Head {
    /// Takes over what a model with the labels `known` has learnt about the labels `wanted`.
    pub fn for_labels(wanted: &[Label], known: &[Label]) -> Self {
        let row = |label| known.iter().position(|k| k == label).map(|row| row as i64);
        Self::Rows(wanted.iter().map(row).collect())
    }
}

/// Copies every weight of the model from `path`, whose names may start with `bert.`.
///
/// Tensors that the model has no use for, such as a pooler, are left alone.
pub fn load(model: &Classifier, path: &Path, head: &Head) -> Result<(), TrainError> {
    let found: HashMap<String, Tensor> = Tensor::read_safetensors(path)
        .map_err(TrainError::base(path))?
        .into_iter()
        .map(|(name, tensor)| (name.strip_prefix("bert.").unwrap_or(&name).to_owned(), tensor))
        .collect();
    for (name, weight) in model.store().variables() {
        let of_head = name.starts_with("classifier.");
        if of_head && *head == Head::Fresh {
            continue;
        }
        let tensor = found
            .get(&name)
            .ok_or_else(|| TrainError::MissingTensor { path: path.to_owned(), name: name.clone() })?;
        match head {
            Head::Rows(rows) if of_head => copy_rows(&weight, tensor, rows)?,
            _ => copy(&weight, tensor, &name, path)?,
        }
    }
    Ok(())
}

fn copy_rows(weight: &Tensor, tensor: &Tensor, rows: &[Option<i64>]) -> Result<(), TrainError> {
    let pairs = rows.iter().enumerate().filter_map(|(to, from)| Some((to as i64, (*from)?)));
    tch::no_grad(|| {
        for (to, from) in pairs {
            weight.f_narrow(0, to, 1)?.f_copy_(&tensor.f_narrow(0, from, 1)?)?;
        }
        Ok(())
    })
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
