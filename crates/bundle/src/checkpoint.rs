use std::fs;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::{BundleError, files};

/// The part of a Hugging Face `config.json` that decides how a BERT computes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct BertConfig {
    /// Must be `bert`.
    pub model_type: String,
    /// Rows of the word embeddings.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Transformer blocks.
    pub num_hidden_layers: usize,
    /// Heads in each block; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width inside the feed-forward part.
    pub intermediate_size: usize,
    /// Must be `gelu`, the exact one.
    pub hidden_act: String,
    /// The most tokens a window can have.
    pub max_position_embeddings: usize,
    /// Rows of the token type embeddings; only the first is used.
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    /// Added to variances.
    pub layer_norm_eps: f32,
    /// Must be `absolute`; older files leave it out.
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
}

fn absolute() -> String {
    "absolute".to_owned()
}

fn two() -> usize {
    2
}

impl BertConfig {
    /// Reads `config.json` and refuses architectures that this project cannot compute.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let json = fs::read(path).map_err(BundleError::io("read", path))?;
        let config: Self = serde_json::from_slice(&json)
            .map_err(|e| BundleError::invalid(path, format!("is no BERT configuration: {e}")))?;
        match config.problem() {
            Some(problem) => Err(BundleError::invalid(path, problem)),
            None => Ok(config),
        }
    }

    fn problem(&self) -> Option<String> {
        let expected = [
            ("model_type", &self.model_type, "bert"),
            ("hidden_act", &self.hidden_act, "gelu"),
            ("position_embedding_type", &self.position_embedding_type, "absolute"),
        ];
        if let Some((name, found, only)) = expected.iter().find(|(_, found, only)| found.as_str() != *only) {
            return Some(format!("{name} is {found:?}; only {only:?} is supported"));
        }
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        let divides = heads > 0 && width > 0 && width.is_multiple_of(heads);
        (!divides).then(|| format!("hidden_size {width} is not a multiple of num_attention_heads {heads}"))
    }
}

/// A row-major matrix, as linear layers and embeddings are stored: `[out, in]` or `[rows, width]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: Vec<f32>,
}

impl Matrix {
    pub(crate) fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.columns..(index + 1) * self.columns]
    }
}

/// A fine-tuned BERT in Hugging Face layout: `config.json` and `model.safetensors`, with or without the
/// prefix `bert.`, and the head `classifier.weight` `[labels, hidden]`, `classifier.bias`.
pub struct Checkpoint {
    config: BertConfig,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Checkpoint {
    /// Reads the folder `dir`.
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        let config = BertConfig::read(&dir.join(files::CONFIG))?;
        let path = dir.join(files::WEIGHTS);
        let bytes = fs::read(&path).map_err(BundleError::io("read", &path))?;
        let checkpoint = Self { config, path, bytes };
        checkpoint.tensors()?;
        Ok(checkpoint)
    }

    /// How it computes.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// How many labels its head has.
    pub fn classes(&self) -> Result<usize, BundleError> {
        self.vector_length("classifier.bias")
    }

    /// A tensor of shape `[rows, columns]`.
    pub(crate) fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Matrix, BundleError> {
        Ok(Matrix { rows, columns, values: self.values(name, &[rows, columns])? })
    }

    /// A tensor of shape `[length]`.
    pub(crate) fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, BundleError> {
        self.values(name, &[length])
    }

    /// The classification head: how many labels it has is up to the checkpoint.
    pub(crate) fn head(&self) -> Result<(Matrix, Vec<f32>), BundleError> {
        let labels = self.classes()?;
        let weight = self.matrix("classifier.weight", labels, self.config.hidden_size)?;
        Ok((weight, self.vector("classifier.bias", labels)?))
    }

    fn vector_length(&self, name: &str) -> Result<usize, BundleError> {
        let tensors = self.tensors()?;
        match tensors.tensor(name).map(|t| t.shape().to_vec()) {
            Ok(shape) if shape.len() == 1 && shape[0] > 0 => Ok(shape[0]),
            Ok(shape) => {
                Err(self.invalid(format!("{name} has shape {shape:?}, expected one number a label")))
            }
            Err(_) => Err(self.invalid(format!("has no tensor {name}; was it fine-tuned with a head?"))),
        }
    }

    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, BundleError> {
        let tensors = self.tensors()?;
        let tensor = tensors
            .tensor(name)
            .or_else(|_| tensors.tensor(&format!("bert.{name}")))
            .map_err(|_| self.invalid(format!("has no tensor {name}; is it a whole BERT checkpoint?")))?;
        if tensor.shape() != shape {
            let found = tensor.shape();
            return Err(self.invalid(format!("{name} has shape {found:?}, config.json asks for {shape:?}")));
        }
        let values = to_f32(tensor.dtype(), tensor.data()).ok_or_else(|| {
            self.invalid(format!("{name} is {:?}; expected F32, F16 or BF16", tensor.dtype()))
        })?;
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(self.invalid(format!("{name} holds values that are not finite; training went astray")))
        }
    }

    pub(crate) fn tensors(&self) -> Result<SafeTensors<'_>, BundleError> {
        SafeTensors::deserialize(&self.bytes)
            .map_err(|e| self.invalid(format!("is no whole safetensors file: {e}")))
    }

    pub(crate) fn invalid(&self, problem: String) -> BundleError {
        BundleError::invalid(&self.path, problem)
    }
}

pub(crate) fn to_f32(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    let halves = || data.as_chunks::<2>().0.iter().copied();
    match dtype {
        Dtype::F32 => Some(data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        Dtype::F16 => Some(halves().map(|b| f16::from_le_bytes(b).to_f32()).collect()),
        Dtype::BF16 => Some(halves().map(|b| bf16::from_le_bytes(b).to_f32()).collect()),
        _ => None,
    }
}
