use std::collections::HashMap;
use std::fs;
use std::path::Path;

use prost::Message;
use safetensors::tensor::{Dtype, TensorView};

use crate::checkpoint::{BertConfig, Matrix};
use crate::onnx::proto::{FLOAT, INT8, Model, Tensor, UINT8};
use crate::quantise::ZERO_POINT;
use crate::{Bundle, BundleError, files};

/// Writes the weights of `bundle` to `weights`, a `model.safetensors` in fp32 under the names Hugging Face
/// gives them (without `bert.`, no pooler), read back from the served graph.
///
/// What quantisation lost stays lost: each weight is the nearest of the 255 steps of its output channel,
/// so that exporting the restored weights gives the same graph again. The graph adds the embedding of
/// token type 0 to every position; it stays there, and token types become zeros.
pub fn restore(bundle: &Bundle, weights: &Path) -> Result<(), BundleError> {
    let path = bundle.path(files::MODEL);
    let graph = fs::read(&path).map_err(BundleError::io("read", &path))?;
    let config = BertConfig::read(&bundle.path(files::CONFIG))?;
    let refuse = |problem: String| BundleError::invalid(&path, problem);
    let tensors = Graph::read(&graph, &config).and_then(|graph| graph.tensors()).map_err(refuse)?;
    let views = tensors.iter().map(|tensor| (&tensor.name, tensor.view()));
    let bytes =
        safetensors::serialize(views, None).map_err(|e| refuse(format!("cannot be restored: {e}")))?;
    fs::write(weights, bytes).map_err(BundleError::io("write", weights))
}

/// A weight of the checkpoint, fp32.
struct Weight {
    name: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Weight {
    fn new(name: impl Into<String>, shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.into(), shape: shape.to_vec(), bytes }
    }

    fn view(&self) -> TensorView<'_> {
        // `new` keeps shape and bytes together, and every caller's values have the shape's size.
        TensorView::new(Dtype::F32, self.shape.clone(), &self.bytes).expect("values fill the shape")
    }
}

/// The constants of a graph that [`crate::export`] wrote. Problems are sentences about the file.
struct Graph<'a> {
    config: &'a BertConfig,
    constants: HashMap<String, Tensor>,
}

impl<'a> Graph<'a> {
    fn read(onnx: &[u8], config: &'a BertConfig) -> Result<Self, String> {
        let model = Model::decode(onnx).map_err(|e| format!("is no ONNX file: {e}"))?;
        let graph = model.graph.ok_or("is an ONNX file without a graph")?;
        let constants = graph.initializer.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        Ok(Self { config, constants })
    }

    fn tensors(&self) -> Result<Vec<Weight>, String> {
        let mut weights = self.embeddings()?;
        for layer in (0..self.config.num_hidden_layers).map(|layer| format!("encoder.layer.{layer}")) {
            let (hidden, wide) = (self.config.hidden_size, self.config.intermediate_size);
            weights.extend(self.query_key_value(&format!("{layer}.attention.self"))?);
            for (name, from, to) in [
                ("attention.output.dense", hidden, hidden),
                ("intermediate.dense", hidden, wide),
                ("output.dense", wide, hidden),
            ] {
                let name = format!("{layer}.{name}");
                weights.push(self.linear(&format!("{name}.weight"), from, to)?.into_weight(&name));
                weights.push(self.vector(&format!("{name}.bias"), to)?);
            }
            weights.extend(self.norm(&format!("{layer}.attention.output.LayerNorm"))?);
            weights.extend(self.norm(&format!("{layer}.output.LayerNorm"))?);
        }
        weights.extend(self.head()?);
        Ok(weights)
    }

    fn embeddings(&self) -> Result<Vec<Weight>, String> {
        let (hidden, positions) = (self.config.hidden_size, self.config.max_position_embeddings);
        let (words, types) = (self.config.vocab_size, self.config.type_vocab_size);
        let table = self.floats("embeddings.position_embeddings", &[positions, hidden])?;
        let mut weights = vec![
            Weight::new("embeddings.word_embeddings.weight", &[words, hidden], &self.words()?),
            Weight::new("embeddings.position_embeddings.weight", &[positions, hidden], &table),
            Weight::new(
                "embeddings.token_type_embeddings.weight",
                &[types, hidden],
                &vec![0.0; types * hidden],
            ),
        ];
        weights.extend(self.norm("embeddings.LayerNorm")?);
        Ok(weights)
    }

    fn words(&self) -> Result<Vec<f32>, String> {
        let name = "embeddings.word_embeddings.weight";
        let (words, hidden) = (self.config.vocab_size, self.config.hidden_size);
        if self.constant(name)?.data_type == FLOAT {
            return self.floats(name, &[words, hidden]);
        }
        let steps = self.steps(name, &[words, hidden])?;
        let scales = self.floats("embeddings.word_embeddings.scale", &[words, 1])?;
        Ok(steps
            .chunks(hidden)
            .zip(scales)
            .flat_map(|(row, scale)| row.iter().map(move |q| q * scale))
            .collect())
    }

    /// The graph has the three as one product; Hugging Face has them apart.
    fn query_key_value(&self, prefix: &str) -> Result<Vec<Weight>, String> {
        let hidden = self.config.hidden_size;
        let weight = self.linear(&format!("{prefix}.weight"), hidden, 3 * hidden)?;
        let bias = self.floats(&format!("{prefix}.bias"), &[3 * hidden])?;
        let parts = ["query", "key", "value"].into_iter().zip(weight.values.chunks(hidden * hidden));
        let parts = parts.zip(bias.chunks(hidden));
        Ok(parts
            .flat_map(|((part, weight), bias)| {
                [
                    Weight::new(format!("{prefix}.{part}.weight"), &[hidden, hidden], weight),
                    Weight::new(format!("{prefix}.{part}.bias"), &[hidden], bias),
                ]
            })
            .collect())
    }

    fn norm(&self, name: &str) -> Result<[Weight; 2], String> {
        let width = self.config.hidden_size;
        let gamma = self.vector(&format!("{name}.weight"), width)?;
        Ok([gamma, self.vector(&format!("{name}.bias"), width)?])
    }

    fn head(&self) -> Result<[Weight; 2], String> {
        let labels = self.constant("classifier.bias")?.dims.iter().product::<i64>();
        let labels = usize::try_from(labels).unwrap_or_default();
        let shape = [labels, self.config.hidden_size];
        let weight = Weight::new("classifier.weight", &shape, &self.floats("classifier.weight", &shape)?);
        Ok([weight, self.vector("classifier.bias", labels)?])
    }

    fn vector(&self, name: &str, length: usize) -> Result<Weight, String> {
        Ok(Weight::new(name, &[length], &self.floats(name, &[length])?))
    }

    /// A linear layer's weight `[to, from]`; the graph holds the transpose.
    fn linear(&self, name: &str, from: usize, to: usize) -> Result<Matrix, String> {
        let (values, scales) = if self.constant(name)?.data_type == FLOAT {
            (self.floats(name, &[from, to])?, vec![1.0; to])
        } else {
            (self.steps(name, &[from, to])?, self.floats(&format!("{name}.scale"), &[to])?)
        };
        let transposed = scales.iter().enumerate().flat_map(|(row, scale)| {
            let column = values.iter().skip(row).step_by(to);
            column.map(move |value| value * scale)
        });
        Ok(Matrix { rows: to, columns: from, values: transposed.collect() })
    }

    /// The whole numbers of a quantised tensor, from -127 to 127.
    fn steps(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let tensor = self.shaped(name, shape)?;
        let bytes = tensor.raw_data.iter();
        match tensor.data_type {
            INT8 => Ok(bytes.map(|byte| f32::from(byte.cast_signed())).collect()),
            UINT8 => Ok(bytes.map(|byte| f32::from(*byte) - f32::from(ZERO_POINT)).collect()),
            other => Err(format!("holds {name} as ONNX type {other}; this program did not write it")),
        }
    }

    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let tensor = self.shaped(name, shape)?;
        if tensor.data_type != FLOAT {
            return Err(format!("holds {name} as ONNX type {}, expected floats", tensor.data_type));
        }
        Ok(tensor.raw_data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn shaped(&self, name: &str, shape: &[usize]) -> Result<&Tensor, String> {
        let tensor = self.constant(name)?;
        let size = shape.iter().product::<usize>() * if tensor.data_type == FLOAT { 4 } else { 1 };
        let fits = tensor
            .dims
            .iter()
            .map(|extent| usize::try_from(*extent).ok())
            .eq(shape.iter().copied().map(Some));
        if fits && tensor.raw_data.len() == size {
            Ok(tensor)
        } else {
            Err(format!("holds {name} as {:?}, config.json asks for {shape:?}", tensor.dims))
        }
    }

    fn constant(&self, name: &str) -> Result<&Tensor, String> {
        let missing =
            || format!("has no constant {name}; only graphs that this program wrote can be restored");
        self.constants.get(name).ok_or_else(missing)
    }
}

impl Matrix {
    fn into_weight(self, layer: &str) -> Weight {
        Weight::new(format!("{layer}.weight"), &[self.rows, self.columns], &self.values)
    }
}
