//! A BERT computed directly from the constants of a served graph, on processors with AVX2.
//!
//! It computes what the int8 graph describes, with three differences that make it fast: a linear layer
//! quantises each token with a scale and zero point of its own, weights are packed once for the processor's
//! instructions, and nothing is allocated per window. `tests/bert.rs` holds it against ONNX Runtime.

mod attention;
mod peak;
mod product;
mod rows;
mod weights;

use self::attention::{AttentionScratch, attend};
pub use self::peak::integer_peak;
use self::product::{Instructions, PackedLinear};
use self::rows::{QuantisedRows, add_and_normalise, gelu};

/// The weights, ready to compute with.
pub(crate) struct Bert {
    instructions: Instructions,
    hidden: usize,
    heads: usize,
    epsilon: f32,
    embeddings: Embeddings,
    layers: Vec<Layer>,
    head: Head,
}

struct Embeddings {
    /// `[words, hidden]`, a view of the graph's file.
    words: bytes::Bytes,
    /// One a word.
    scales: Vec<f32>,
    positions: Vec<f32>,
    norm: Norm,
}

struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

struct Layer {
    query_key_value: PackedLinear,
    attention_output: PackedLinear,
    attention_norm: Norm,
    widen: PackedLinear,
    narrow: PackedLinear,
    output_norm: Norm,
}

struct Head {
    /// `[labels, hidden]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Space that is used again for every window; one a thread.
#[derive(Default)]
pub(crate) struct Scratch {
    hidden: Vec<f32>,
    residual: Vec<f32>,
    wide: Vec<f32>,
    quantised: QuantisedRows,
    attention: AttentionScratch,
}

impl Bert {
    /// The logits of one window. `None` when an id is outside the vocabulary or the window is too long or
    /// empty.
    pub(crate) fn logits(&self, ids: &[i64], scratch: &mut Scratch) -> Option<Vec<f32>> {
        // SAFETY: `instructions` was detected, and both kinds include AVX2 and FMA.
        unsafe { self.forward(ids, scratch) }
    }

    #[target_feature(enable = "avx2,fma")]
    fn forward(&self, ids: &[i64], scratch: &mut Scratch) -> Option<Vec<f32>> {
        self.embed(ids, scratch)?;
        for layer in &self.layers {
            self.attention(layer, ids.len(), scratch);
            self.feed_forward(layer, scratch);
        }
        Some(self.classify(&scratch.hidden))
    }

    /// Word, position and token type, normalised.
    #[target_feature(enable = "avx2,fma")]
    fn embed(&self, ids: &[i64], scratch: &mut Scratch) -> Option<()> {
        let (hidden, embeddings) = (self.hidden, &self.embeddings);
        if ids.is_empty() || ids.len() * hidden > embeddings.positions.len() {
            return None;
        }
        scratch.hidden.resize(ids.len() * hidden, 0.0);
        let rows = scratch.hidden.chunks_exact_mut(hidden).zip(embeddings.positions.chunks_exact(hidden));
        for (id, (row, position)) in ids.iter().zip(rows) {
            let id = usize::try_from(*id).ok()?;
            let scale = embeddings.scales.get(id)?;
            let word = &embeddings.words[id * hidden..][..hidden];
            row.iter_mut().zip(word).for_each(|(value, byte)| *value = f32::from(byte.cast_signed()) * scale);
            self.normalise(row, position, &embeddings.norm);
        }
        Some(())
    }

    #[target_feature(enable = "avx2,fma")]
    fn attention(&self, layer: &Layer, tokens: usize, scratch: &mut Scratch) {
        self.linear(&layer.query_key_value, &scratch.hidden, &mut scratch.quantised, &mut scratch.wide);
        scratch.residual.resize(scratch.hidden.len(), 0.0);
        attend(&scratch.wide, tokens, self.heads, &mut scratch.attention, &mut scratch.residual);
        self.linear(&layer.attention_output, &scratch.residual, &mut scratch.quantised, &mut scratch.wide);
        self.add_and_normalise(scratch, &layer.attention_norm);
    }

    #[target_feature(enable = "avx2,fma")]
    fn feed_forward(&self, layer: &Layer, scratch: &mut Scratch) {
        self.linear(&layer.widen, &scratch.hidden, &mut scratch.quantised, &mut scratch.wide);
        gelu(&mut scratch.wide);
        scratch.quantised.fill(&scratch.wide, layer.narrow.inputs(), layer.narrow.most());
        scratch.wide.resize(scratch.quantised.count() * self.hidden, 0.0);
        layer.narrow.apply(&scratch.quantised, &mut scratch.wide, self.instructions);
        self.add_and_normalise(scratch, &layer.output_norm);
    }

    /// Quantises `input` and puts the layer's outputs in the place of `out`.
    fn linear(&self, layer: &PackedLinear, input: &[f32], quantised: &mut QuantisedRows, out: &mut Vec<f32>) {
        quantised.fill(input, layer.inputs(), layer.most());
        out.resize(quantised.count() * layer.outputs(), 0.0);
        layer.apply(quantised, out, self.instructions);
    }

    /// The hidden states become the norm of themselves and what the last layer gave.
    #[target_feature(enable = "avx2,fma")]
    fn add_and_normalise(&self, scratch: &mut Scratch, norm: &Norm) {
        let rows = scratch.hidden.chunks_exact_mut(self.hidden).zip(scratch.wide.chunks_exact(self.hidden));
        for (row, added) in rows {
            self.normalise(row, added, norm);
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn normalise(&self, row: &mut [f32], added: &[f32], norm: &Norm) {
        add_and_normalise(row, added, &norm.gamma, &norm.beta, self.epsilon);
    }

    /// The mean of all tokens, then one logit a label.
    fn classify(&self, hidden: &[f32]) -> Vec<f32> {
        let mut mean = vec![0f32; self.hidden];
        for row in hidden.chunks_exact(self.hidden) {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        let tokens = (hidden.len() / self.hidden) as f32;
        let dot = |weight: &[f32]| weight.iter().zip(&mean).map(|(w, sum)| w * sum / tokens).sum::<f32>();
        self.head
            .weight
            .chunks_exact(self.hidden)
            .zip(&self.head.bias)
            .map(|(w, bias)| dot(w) + bias)
            .collect()
    }
}
