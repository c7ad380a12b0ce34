#![cfg(target_arch = "x86_64")]
//! A BERT computed directly from the constants of a served graph, on processors with AVX2.
//!
//! It computes what the int8 graph describes, with three differences that make it fast: a linear layer
//! quantises each token with a scale and zero point of its own, weights are packed once for the processor's
//! instructions, and windows are computed in groups. Tests of the
//! classifier hold it against ONNX Runtime.

mod attention;
mod peak;
mod product;
mod quantised;
mod rows;
mod weights;

use self::attention::{AttentionScratch, attend};
pub use self::peak::integer_peak;
pub use self::product::Instructions;
use self::product::PackedLinear;
use self::quantised::{QuantisedRows, TILE};
use self::rows::{add_and_normalise, gelu};

/// The weights, ready to compute with.
pub struct Bert {
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

/// Rows that pass through the wide layer together: its outputs, 400 KB, stay in the second cache.
const ROWS: usize = 13 * TILE;

/// Space that is used again for every group of windows; one a thread.
#[derive(Default)]
pub struct Scratch {
    hidden: Vec<f32>,
    /// Queries, keys and values.
    joined: Vec<f32>,
    context: Vec<f32>,
    wide: Vec<f32>,
    added: Vec<f32>,
    quantised: QuantisedRows,
    attention: AttentionScratch,
}

impl Bert {
    /// Each window's logits. `None` when an id is outside the vocabulary or the window is too long or empty.
    ///
    /// Windows are computed together, so that weights are read once for all of them. Nothing is shared
    /// between rows, so logits are the same bits as those of a window alone.
    pub fn logits(&self, windows: &[&[i64]], scratch: &mut Scratch) -> Vec<Option<Vec<f32>>> {
        let taken: Vec<bool> = windows.iter().map(|ids| self.takes(ids)).collect();
        let good: Vec<&[i64]> =
            windows.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(ids, _)| *ids).collect();
        // SAFETY: a `Bert` is loaded only where instructions were detected, which include AVX2 and FMA.
        let mut logits = unsafe { self.forward(&good, scratch) }.into_iter();
        taken.into_iter().map(|taken| if taken { logits.next() } else { None }).collect()
    }

    fn takes(&self, ids: &[i64]) -> bool {
        let known = |id: &i64| usize::try_from(*id).is_ok_and(|id| id < self.embeddings.scales.len());
        !ids.is_empty() && ids.len() * self.hidden <= self.embeddings.positions.len() && ids.iter().all(known)
    }

    #[target_feature(enable = "avx2,fma")]
    fn forward(&self, windows: &[&[i64]], scratch: &mut Scratch) -> Vec<Vec<f32>> {
        scratch.hidden.clear();
        windows.iter().for_each(|ids| self.embed(ids, &mut scratch.hidden));
        for layer in &self.layers {
            self.attention(layer, windows, scratch);
            self.feed_forward(layer, scratch);
        }
        let mut rows = scratch.hidden.as_slice();
        let mut next = |ids: &&[i64]| rows.split_off(..ids.len() * self.hidden).unwrap_or_default();
        windows.iter().map(|ids| self.classify(next(ids))).collect()
    }

    /// Word, position and token type, normalised.
    #[target_feature(enable = "avx2,fma")]
    fn embed(&self, ids: &[i64], rows: &mut Vec<f32>) {
        let (hidden, embeddings) = (self.hidden, &self.embeddings);
        for (id, position) in ids.iter().zip(embeddings.positions.chunks_exact(hidden)) {
            let (id, first) = (*id as usize, rows.len());
            let word = &embeddings.words[id * hidden..][..hidden];
            rows.extend(word.iter().map(|byte| f32::from(byte.cast_signed()) * embeddings.scales[id]));
            self.normalise(&mut rows[first..], position, &embeddings.norm);
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn attention(&self, layer: &Layer, windows: &[&[i64]], scratch: &mut Scratch) {
        let Scratch { hidden, joined, context, added, quantised, attention, .. } = scratch;
        let mut joined = &*self.linear(&layer.query_key_value, hidden, quantised, joined);
        let context = room(context, hidden.len());
        let mut contexts = &mut *context;
        for ids in windows {
            let size = ids.len() * self.hidden;
            let (window, rest) = joined.split_at(3 * size);
            let (to, others) = contexts.split_at_mut(size);
            attend(window, ids.len(), self.heads, attention, to);
            (joined, contexts) = (rest, others);
        }
        let added = self.linear(&layer.attention_output, context, quantised, added);
        self.add_and_normalise(hidden, added, &layer.attention_norm);
    }

    #[target_feature(enable = "avx2,fma")]
    fn feed_forward(&self, layer: &Layer, scratch: &mut Scratch) {
        let Scratch { hidden, wide, added, quantised, .. } = scratch;
        for rows in hidden.chunks_mut(ROWS * self.hidden) {
            let wide = self.linear(&layer.widen, rows, quantised, wide);
            gelu(wide);
            let added = self.linear(&layer.narrow, wide, quantised, added);
            self.add_and_normalise(rows, added, &layer.output_norm);
        }
    }

    /// Quantises `input` and puts the layer's outputs in the place of `out`.
    fn linear<'a>(
        &self,
        layer: &PackedLinear,
        input: &[f32],
        quantised: &mut QuantisedRows,
        out: &'a mut Vec<f32>,
    ) -> &'a mut [f32] {
        quantised.fill(input, layer.inputs(), layer.most());
        let out = room(out, quantised.tiles() * TILE * layer.outputs());
        layer.apply(quantised, out);
        &mut out[..input.len() / layer.inputs() * layer.outputs()]
    }

    /// The hidden states become the norm of themselves and what the last layer gave.
    #[target_feature(enable = "avx2,fma")]
    fn add_and_normalise(&self, hidden: &mut [f32], added: &[f32], norm: &Norm) {
        for (row, added) in hidden.chunks_exact_mut(self.hidden).zip(added.chunks_exact(self.hidden)) {
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

/// The first `size` of the buffer's floats, whatever they are: none is cleared that is written next.
fn room(buffer: &mut Vec<f32>, size: usize) -> &mut [f32] {
    if buffer.len() < size {
        buffer.resize(size, 0.0);
    }
    &mut buffer[..size]
}
