use std::collections::HashMap;

use super::graph::Operator::{Microsoft, Standard};
use super::graph::{GraphBuilder, Value, float, integer, integers, none};
use super::proto::{Attribute, Extent, FLOAT, INT64, ValueInfo};
use super::signature::{INPUT, OUTPUT, declare};
use crate::activations::Moments;
use crate::checkpoint::Matrix;
use crate::quantise::{QuantisedRows, ZERO_POINT, quantise_linear, quantise_rows};
use crate::{Activations, BundleError, Checkpoint};

/// How a graph computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// As trained; what the quantised graph is compared with.
    Fp32,
    /// What is served. Weights in eight bits with a scale per output channel, word embeddings with a
    /// scale per word. Activations are quantised as they come: with a scale per token before linear
    /// layers, with a scale per window inside attention.
    Int8,
}

/// Writes a BERT classifier as an ONNX file: input `input_ids` int64 `[1, S]`, output `logits` float
/// `[1, labels]`, mean pooling over all S tokens, then the linear head.
///
/// The batch is one and windows are not padded, because a scale per window keeps a score
/// independent of whatever else is scored at the same time.
pub fn export(checkpoint: &Checkpoint, precision: Precision) -> Result<Vec<u8>, BundleError> {
    let writer = BertWriter::new(checkpoint, precision, None);
    let (graph, input, logits, _) = writer.write()?;
    Ok(graph.finish(input, vec![logits]))
}

/// The graph of [`Precision::Int8`], made for what its linear layers are given. In fp32 it would compute
/// the same as without `activations`.
///
/// Norms give their results less the mean of every feature, which biases after them add again: some
/// features lie far from zero always, and would leave the others few steps.
pub fn export_calibrated(checkpoint: &Checkpoint, activations: &Activations) -> Result<Vec<u8>, BundleError> {
    let writer = BertWriter::new(checkpoint, Precision::Int8, Some(activations));
    let (graph, input, logits, _) = writer.write()?;
    Ok(graph.finish(input, vec![logits]))
}

/// The graph of [`Precision::Fp32`] that gives, behind the logits, what its linear layers are given, each
/// `[1, S, features]`: what [`Activations::observe`] takes.
pub fn export_observed(checkpoint: &Checkpoint) -> Result<Vec<u8>, BundleError> {
    let writer = BertWriter::new(checkpoint, Precision::Fp32, None);
    let (graph, input, logits, given) = writer.write()?;
    let declared = given.into_iter().map(|(name, width)| {
        let extents = [Extent::Fixed(1), Extent::Named("tokens".to_owned()), Extent::Fixed(width as i64)];
        declare(&name, FLOAT, extents.to_vec())
    });
    Ok(graph.finish(input, std::iter::once(logits).chain(declared).collect()))
}

struct BertWriter<'a> {
    checkpoint: &'a Checkpoint,
    precision: Precision,
    activations: Option<&'a Activations>,
    graph: GraphBuilder,
    /// What linear layers are given, and its width.
    given: Vec<(Value, usize)>,
    /// How much the results of norms are less than the checkpoint's.
    shifts: HashMap<Value, Vec<f32>>,
}

/// A graph without its ends, its input, its logits and what its linear layers are given.
type Written = (GraphBuilder, ValueInfo, ValueInfo, Vec<(Value, usize)>);

impl<'a> BertWriter<'a> {
    fn new(checkpoint: &'a Checkpoint, precision: Precision, activations: Option<&'a Activations>) -> Self {
        let (graph, given, shifts) = Default::default();
        Self { checkpoint, precision, activations, graph, given, shifts }
    }

    fn write(mut self) -> Result<Written, BundleError> {
        let mut hidden = self.embeddings()?;
        for layer in 0..self.checkpoint.config().num_hidden_layers {
            hidden = self.attention(&format!("encoder.layer.{layer}.attention"), hidden)?;
            hidden = self.feed_forward(&format!("encoder.layer.{layer}"), hidden)?;
        }
        let labels = self.mean_pool_and_classify(hidden)?;
        let input = declare(INPUT, INT64, vec![Extent::Fixed(1), Extent::Named("tokens".to_owned())]);
        let logits = declare(OUTPUT, FLOAT, vec![Extent::Fixed(1), Extent::Fixed(labels as i64)]);
        Ok((self.graph, input, logits, self.given))
    }
}

impl BertWriter<'_> {
    /// Word, position and token type, summed and normalised: `[1, S, hidden]`.
    fn embeddings(&mut self) -> Result<Value, BundleError> {
        let words = self.word_embeddings()?;
        let positions = self.position_embeddings()?;
        let sum = self.graph.node(Standard("Add"), "embeddings", &[words, positions], vec![]);
        let name = "embeddings.normalised";
        let (gamma, beta) = self.norm("embeddings.LayerNorm", name)?;
        let epsilon = vec![self.epsilon()];
        Ok(self.graph.node(Standard("LayerNormalization"), name, &[sum, gamma, beta], epsilon))
    }

    fn word_embeddings(&mut self) -> Result<Value, BundleError> {
        let name = "embeddings.word_embeddings.weight";
        let (words, hidden) = (self.checkpoint.config().vocab_size, self.checkpoint.config().hidden_size);
        let table = self.checkpoint.matrix(name, words, hidden)?;
        if self.precision == Precision::Fp32 {
            let table = self.graph.floats(name, &[words, hidden], &table.values);
            return Ok(self.graph.node(Standard("Gather"), "words", &[table, INPUT.into()], vec![]));
        }
        let table = quantise_rows(&table);
        let values = self.graph.signed_bytes(name, &[words, hidden], &table.values);
        let scales = self.graph.floats("embeddings.word_embeddings.scale", &[words, 1], &table.scales);
        let values = self.graph.node(Standard("Gather"), "words.quantised", &[values, INPUT.into()], vec![]);
        let scales = self.graph.node(Standard("Gather"), "words.scale", &[scales, INPUT.into()], vec![]);
        let to_float = vec![integer("to", FLOAT as usize)];
        let values = self.graph.node(Standard("Cast"), "words.unscaled", &[values], to_float);
        Ok(self.graph.node(Standard("Mul"), "words", &[values, scales], vec![]))
    }

    /// The first S rows of the position table. A text is all of token type 0, so that type's embedding
    /// is added to every position beforehand.
    fn position_embeddings(&mut self) -> Result<Value, BundleError> {
        let (positions, hidden) =
            (self.checkpoint.config().max_position_embeddings, self.checkpoint.config().hidden_size);
        let mut table =
            self.checkpoint.matrix("embeddings.position_embeddings.weight", positions, hidden)?.values;
        let types = self.checkpoint.config().type_vocab_size;
        let types = self.checkpoint.matrix("embeddings.token_type_embeddings.weight", types, hidden)?;
        for row in table.chunks_exact_mut(hidden) {
            row.iter_mut().zip(types.row(0)).for_each(|(position, text)| *position += text);
        }
        let table = self.graph.floats("embeddings.position_embeddings", &[positions, hidden], &table);
        let length = vec![integer("start", 1), integer("end", 2)];
        let length = self.graph.node(Standard("Shape"), "tokens", &[INPUT.into()], length);
        let first = self.graph.integers("positions.first", &[0]);
        let axis = self.graph.integers("positions.axis", &[0]);
        Ok(self.graph.node(Standard("Slice"), "positions", &[table, first, length, axis], vec![]))
    }

    /// Multi-head self-attention, added to what came in and normalised.
    fn attention(&mut self, prefix: &str, hidden: Value) -> Result<Value, BundleError> {
        let context = self.self_attention(prefix, &hidden)?;
        let width = self.checkpoint.config().hidden_size;
        self.dense_add_and_normalise(&format!("{prefix}.output"), context, width, hidden)
    }

    fn self_attention(&mut self, prefix: &str, hidden: &Value) -> Result<Value, BundleError> {
        let (weight, mut bias) = self.query_key_value(prefix)?;
        let weight = self.linear(&format!("{prefix}.self.weight"), &weight, &mut bias, hidden);
        let heads = vec![integer("num_heads", self.checkpoint.config().num_attention_heads)];
        let name = format!("{prefix}.self");
        let bias = self.graph.floats(&format!("{name}.bias"), &[bias.len()], &bias);
        let weight = match weight {
            Weight::Exact(weight) => {
                let inputs = [hidden.clone(), weight, bias];
                return Ok(self.graph.node(Microsoft("Attention"), &name, &inputs, heads));
            }
            Weight::Quantised(weight) => weight,
        };
        let quantise = format!("{name}.input");
        let [input, scale, zero] =
            self.graph.node3(Standard("DynamicQuantizeLinear"), &quantise, std::slice::from_ref(hidden));
        let inputs = [input, weight.values, bias, scale, weight.scales, none(), zero, weight.zero_point];
        Ok(self.graph.node(Microsoft("QAttention"), &name, &inputs, heads))
    }

    /// The three projections as one layer `[3 · hidden, hidden]`, in the order the operator wants.
    fn query_key_value(&self, prefix: &str) -> Result<(Matrix, Vec<f32>), BundleError> {
        let hidden = self.checkpoint.config().hidden_size;
        let mut weight = Matrix { rows: 3 * hidden, columns: hidden, values: Vec::new() };
        let mut bias = Vec::new();
        for part in ["query", "key", "value"] {
            let name = format!("{prefix}.self.{part}");
            weight.values.extend(self.checkpoint.matrix(&format!("{name}.weight"), hidden, hidden)?.values);
            bias.extend(self.checkpoint.vector(&format!("{name}.bias"), hidden)?);
        }
        Ok((weight, bias))
    }

    /// Widen, exact Gelu, narrow; added to what came in and normalised.
    fn feed_forward(&mut self, prefix: &str, hidden: Value) -> Result<Value, BundleError> {
        let (width, wide) =
            (self.checkpoint.config().hidden_size, self.checkpoint.config().intermediate_size);
        let name = format!("{prefix}.intermediate");
        let (widened, bias) = self.product(&format!("{name}.dense"), hidden.clone(), width, wide)?;
        let bias = self.graph.floats(&format!("{name}.dense.bias"), &[wide], &bias);
        let activated = self.graph.node(Microsoft("BiasGelu"), &name, &[widened, bias], vec![]);
        self.dense_add_and_normalise(&format!("{prefix}.output"), activated, wide, hidden)
    }

    /// A linear layer back to the residual stream, added to it and normalised.
    fn dense_add_and_normalise(
        &mut self,
        name: &str,
        input: Value,
        from: usize,
        residual: Value,
    ) -> Result<Value, BundleError> {
        let width = self.checkpoint.config().hidden_size;
        let (output, mut bias) = self.product(&format!("{name}.dense"), input, from, width)?;
        if let Some(shift) = self.shifts.get(&residual) {
            bias.iter_mut().zip(shift).for_each(|(bias, shift)| *bias += shift);
        }
        let bias = self.graph.floats(&format!("{name}.dense.bias"), &[width], &bias);
        let (gamma, beta) = self.norm(&format!("{name}.LayerNorm"), name)?;
        let epsilon = vec![self.epsilon()];
        let inputs = [output, residual, gamma, beta, bias];
        Ok(self.graph.node(Microsoft("SkipLayerNormalization"), name, &inputs, epsilon))
    }

    /// The mean of all tokens, then one logit a label. The head stays in fp32: it is tiny, and its
    /// error would go straight into the scores.
    fn mean_pool_and_classify(&mut self, hidden: Value) -> Result<usize, BundleError> {
        let (weight, bias) = self.checkpoint.head()?;
        let over_tokens = vec![integers("axes", &[1]), integer("keepdims", 0)];
        let pooled = self.graph.node(Standard("ReduceMean"), "pooled", &[hidden], over_tokens);
        let bias = self.graph.floats("classifier.bias", &[bias.len()], &bias);
        let labels = weight.rows;
        let weight = self.graph.floats("classifier.weight", &[labels, weight.columns], &weight.values);
        let by_rows = vec![integer("transB", 1)];
        self.graph.node(Standard("Gemm"), OUTPUT, &[pooled, weight, bias], by_rows);
        Ok(labels)
    }

    /// A linear layer without its bias, which the operator after it adds, and that bias.
    fn product(
        &mut self,
        name: &str,
        input: Value,
        from: usize,
        to: usize,
    ) -> Result<(Value, Vec<f32>), BundleError> {
        let weight = self.checkpoint.matrix(&format!("{name}.weight"), to, from)?;
        let mut bias = self.checkpoint.vector(&format!("{name}.bias"), to)?;
        let weight = match self.linear(&format!("{name}.weight"), &weight, &mut bias, &input) {
            Weight::Exact(weight) => {
                return Ok((self.graph.node(Standard("MatMul"), name, &[input, weight], vec![]), bias));
            }
            Weight::Quantised(weight) => weight,
        };
        let (scaled, largest) = self.scaled_tokens(name, input);
        let inputs = [scaled, weight.values, weight.scales, weight.zero_point];
        let product = format!("{name}.scaled");
        let product = self.graph.node(Microsoft("DynamicQuantizeMatMul"), &product, &inputs, vec![]);
        Ok((self.graph.node(Standard("Mul"), name, &[product, largest], vec![]), bias))
    }

    /// Puts a layer's weight into the graph, and keeps the mean of the layer's outputs by its `bias`: it
    /// makes good what `input` was shifted by and what rounding the weight does to the mean.
    fn linear(&mut self, name: &str, weight: &Matrix, bias: &mut [f32], input: &Value) -> Weight {
        self.given.push((input.clone(), weight.columns));
        if self.precision == Precision::Fp32 {
            return Weight::Exact(self.transposed(name, weight));
        }
        let moments = self.activations.and_then(|activations| activations.of(input));
        let quantised = quantise_linear(weight, moments);
        if let Some(means) = moments.map(Moments::means) {
            let shifted = self.shifts.contains_key(input);
            for (row, bias) in bias.iter_mut().enumerate() {
                let exact: f32 = weight.row(row).iter().zip(&means).map(|(weight, mean)| weight * mean).sum();
                *bias += exact - if shifted { 0.0 } else { quantised.times(row, &means) };
            }
        }
        Weight::Quantised(self.quantised(name, &quantised))
    }

    /// Divides each token by its largest magnitude, so that the one scale that the operator finds for the
    /// whole window fits every token: a few tokens are ten times larger than the others.
    fn scaled_tokens(&mut self, name: &str, input: Value) -> (Value, Value) {
        let magnitude = format!("{name}.magnitude");
        let magnitude = self.graph.node(Standard("Abs"), &magnitude, std::slice::from_ref(&input), vec![]);
        let over_features = vec![integers("axes", &[-1]), integer("keepdims", 1)];
        let largest = format!("{name}.largest");
        let largest = self.graph.node(Standard("ReduceMax"), &largest, &[magnitude], over_features);
        // A token of zeros stays one.
        let least = self.graph.floats(&format!("{name}.least"), &[1], &[f32::MIN_POSITIVE]);
        let divisor = self.graph.node(Standard("Max"), &format!("{name}.divisor"), &[largest, least], vec![]);
        let scaled = format!("{name}.input");
        let scaled = self.graph.node(Standard("Div"), &scaled, &[input, divisor.clone()], vec![]);
        (scaled, divisor)
    }

    /// Gain and offset of the norm whose result is `value`.
    fn norm(&mut self, name: &str, value: &str) -> Result<(Value, Value), BundleError> {
        let width = self.checkpoint.config().hidden_size;
        let gamma = self.checkpoint.vector(&format!("{name}.weight"), width)?;
        let mut beta = self.checkpoint.vector(&format!("{name}.bias"), width)?;
        if let Some(moments) = self.activations.and_then(|activations| activations.of(value)) {
            let shift = moments.means();
            beta.iter_mut().zip(&shift).for_each(|(beta, shift)| *beta -= shift);
            self.shifts.insert(value.to_owned(), shift);
        }
        let gamma = self.graph.floats(&format!("{name}.weight"), &[width], &gamma);
        Ok((gamma, self.graph.floats(&format!("{name}.bias"), &[width], &beta)))
    }

    fn epsilon(&self) -> Attribute {
        float("epsilon", self.checkpoint.config().layer_norm_eps)
    }

    fn transposed(&mut self, name: &str, weight: &Matrix) -> Value {
        let mut values = vec![0.0; weight.values.len()];
        for row in 0..weight.rows {
            for column in 0..weight.columns {
                values[column * weight.rows + row] = weight.row(row)[column];
            }
        }
        self.graph.floats(name, &[weight.columns, weight.rows], &values)
    }

    fn quantised(&mut self, name: &str, weight: &QuantisedRows) -> QuantisedConstant {
        let dims = [weight.columns, weight.rows];
        QuantisedConstant {
            values: self.graph.unsigned_bytes(name, &dims, weight.transposed_unsigned()),
            scales: self.graph.floats(&format!("{name}.scale"), &[weight.rows], &weight.scales),
            zero_point: self.graph.unsigned_bytes(&format!("{name}.zero"), &[1], vec![ZERO_POINT]),
        }
    }
}

/// A linear layer's weight `[in, out]` in the graph.
enum Weight {
    Exact(Value),
    Quantised(QuantisedConstant),
}

/// A quantised weight `[in, out]` in the graph.
struct QuantisedConstant {
    values: Value,
    scales: Value,
    zero_point: Value,
}
