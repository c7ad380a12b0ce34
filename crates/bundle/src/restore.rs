use std::cell::RefCell;
use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use safetensors::tensor::{Dtype, TensorView};

use crate::checkpoint::{BertConfig, Matrix};
use crate::quantise::ZERO_POINT;
use crate::{Bundle, BundleError, GraphConstants, files};

/// Writes the weights of `bundle` to `weights`, a `model.safetensors` in fp32 under the names Hugging Face
/// gives them (without `bert.`, no pooler), read back from the served graph.
///
/// What quantisation lost stays lost. Where norms give less than the checkpoint's did
/// ([`crate::export_calibrated`]), they still do, and biases add it: the function is the same. The graph
/// adds the embedding of token type 0 to every position; it stays there, and token types become zeros.
pub fn restore(bundle: &Bundle, weights: &Path) -> Result<(), BundleError> {
    write(bundle, weights, None)
}

/// The same for weights that will be trained further: each lies anywhere in the int8 step that it was rounded to,
/// always at the same place.
///
/// On the steps themselves, a move of less than half a step would be rounded away when the result is quantised
/// again, and a model that has learnt something be served as if it had not. Dither makes rounding fair.
pub fn restore_dithered(bundle: &Bundle, weights: &Path) -> Result<(), BundleError> {
    write(bundle, weights, Some(StdRng::seed_from_u64(DITHER_SEED)))
}

const DITHER_SEED: u64 = 1;

fn write(bundle: &Bundle, weights: &Path, dither: Option<StdRng>) -> Result<(), BundleError> {
    let path = bundle.path(files::MODEL);
    let config = BertConfig::read(&bundle.path(files::CONFIG))?;
    let (constants, dither) = (GraphConstants::open(&path)?, dither.map(RefCell::new));
    let tensors = Graph { config: &config, constants, dither }.tensors()?;
    let views = tensors.iter().map(|tensor| (&tensor.name, tensor.view()));
    let bytes = safetensors::serialize(views, None)
        .map_err(|e| BundleError::invalid(&path, format!("cannot be restored: {e}")))?;
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

/// The constants of a graph that [`crate::export`] wrote, under their names in a checkpoint.
struct Graph<'a> {
    config: &'a BertConfig,
    constants: GraphConstants,
    /// Where in its step a weight lies; the middle without it.
    dither: Option<RefCell<StdRng>>,
}

impl Graph<'_> {
    fn tensors(&self) -> Result<Vec<Weight>, BundleError> {
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

    fn embeddings(&self) -> Result<Vec<Weight>, BundleError> {
        let (hidden, positions) = (self.config.hidden_size, self.config.max_position_embeddings);
        let (words, types) = (self.config.vocab_size, self.config.type_vocab_size);
        let table = self.constants.floats("embeddings.position_embeddings", &[positions, hidden])?;
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

    fn words(&self) -> Result<Vec<f32>, BundleError> {
        let name = "embeddings.word_embeddings.weight";
        let (words, hidden) = (self.config.vocab_size, self.config.hidden_size);
        if self.constants.is_float(name)? {
            return self.constants.floats(name, &[words, hidden]);
        }
        let steps = self.constants.signed_bytes(name, &[words, hidden])?;
        let scales = self.constants.floats("embeddings.word_embeddings.scale", &[words, 1])?;
        Ok(steps
            .chunks(hidden)
            .zip(scales)
            .flat_map(|(row, scale)| {
                row.iter().map(move |step| (f32::from(step.cast_signed()) + self.within_step()) * scale)
            })
            .collect())
    }

    /// In steps, from the middle of one.
    fn within_step(&self) -> f32 {
        self.dither.as_ref().map_or(0.0, |rng| rng.borrow_mut().random_range(-0.5..0.5))
    }

    /// The graph has the three as one product; Hugging Face has them apart.
    fn query_key_value(&self, prefix: &str) -> Result<Vec<Weight>, BundleError> {
        let hidden = self.config.hidden_size;
        let weight = self.linear(&format!("{prefix}.weight"), hidden, 3 * hidden)?;
        let bias = self.constants.floats(&format!("{prefix}.bias"), &[3 * hidden])?;
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

    fn norm(&self, name: &str) -> Result<[Weight; 2], BundleError> {
        let width = self.config.hidden_size;
        let gamma = self.vector(&format!("{name}.weight"), width)?;
        Ok([gamma, self.vector(&format!("{name}.bias"), width)?])
    }

    fn head(&self) -> Result<[Weight; 2], BundleError> {
        let labels = self.constants.shape("classifier.bias")?.iter().product();
        let shape = [labels, self.config.hidden_size];
        let weight =
            Weight::new("classifier.weight", &shape, &self.constants.floats("classifier.weight", &shape)?);
        Ok([weight, self.vector("classifier.bias", labels)?])
    }

    fn vector(&self, name: &str, length: usize) -> Result<Weight, BundleError> {
        Ok(Weight::new(name, &[length], &self.constants.floats(name, &[length])?))
    }

    /// A linear layer's weight `[to, from]`; the graph holds the transpose.
    fn linear(&self, name: &str, from: usize, to: usize) -> Result<Matrix, BundleError> {
        let (values, scales) = if self.constants.is_float(name)? {
            (self.constants.floats(name, &[from, to])?, vec![1.0; to])
        } else {
            let steps = self.constants.unsigned_bytes(name, &[from, to])?;
            let value = |step: &u8| f32::from(*step) - f32::from(ZERO_POINT) + self.within_step();
            let values = steps.iter().map(value).collect();
            (values, self.constants.floats(&format!("{name}.scale"), &[to])?)
        };
        let transposed = scales.iter().enumerate().flat_map(|(row, scale)| {
            let column = values.iter().skip(row).step_by(to);
            column.map(move |value| value * scale)
        });
        Ok(Matrix { rows: to, columns: from, values: transposed.collect() })
    }
}

impl Matrix {
    fn into_weight(self, layer: &str) -> Weight {
        Weight::new(format!("{layer}.weight"), &[self.rows, self.columns], &self.values)
    }
}
