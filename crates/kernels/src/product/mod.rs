//! The integer matrix product: rows of unsigned activations with a packed signed weight.
//!
//! AVX2 adds products of bytes in sixteen bits, which saturate. So each layer says how large an activation
//! may be: as large as its largest pair of neighbouring weights allows, 128 to 255. Sums are then exact with
//! every instruction set, and a score does not depend on the processor.

#![expect(clippy::needless_range_loop, reason = "registers are named by index")]

mod avx2;
mod pairing;
mod vnni;

use std::arch::x86_64::*;
use std::ops::Range;

use self::avx2::PairedQuads;
use self::pairing::largest_activation;
use super::quantised::{QUAD, QuantisedRows, RowScale, TILE};

/// Output channels computed together: one panel of the packed weight.
const PANEL: usize = 16;
/// Quads of inputs that are multiplied before the next panel's turn comes: 6 KB of weights and 1.9 KB of a
/// tile, which stay in the first cache together.
const DEPTH: usize = 96;

/// Four inputs' weights for a panel's channels, those of a channel side by side: one line of the cache.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Quad([i8; PANEL * QUAD]);

impl Quad {
    const NOTHING: Self = Self([0; PANEL * QUAD]);
}

/// A linear layer, its weight packed for the processor's instructions.
pub(super) struct PackedLinear {
    inputs: usize,
    outputs: usize,
    weights: Weights,
    /// Per output channel: scale of the weight, sum of its integers, bias.
    scales: Vec<f32>,
    sums: Vec<i32>,
    bias: Vec<f32>,
    /// The largest activation that cannot saturate.
    most: u8,
}

/// The weight, panel by panel.
enum Weights {
    /// For [`Instructions::Avx2`].
    Pairs(PairedQuads),
    /// For [`Instructions::Vnni`], quads in the order of the inputs.
    Quads(Vec<Quad>),
}

/// Up to [`DEPTH`] quads of inputs.
struct Block {
    quads: Range<usize>,
    /// Whether no other follows.
    last: bool,
}

impl Block {
    /// All of a layer.
    fn of(inputs: usize) -> impl Iterator<Item = Self> {
        let all = inputs / QUAD;
        (0..all).step_by(DEPTH).map(move |first| {
            let end = all.min(first + DEPTH);
            Self { quads: first..end, last: end == all }
        })
    }

    fn index(&self) -> usize {
        self.quads.start / DEPTH
    }
}

impl PackedLinear {
    /// Packs `weight`, bytes `[inputs, outputs]` that stand for `byte - zero_point`. `None` when the sizes
    /// do not suit the kernels.
    pub(super) fn pack(
        weight: &[u8],
        zero_point: u8,
        scales: Vec<f32>,
        bias: Vec<f32>,
        instructions: Instructions,
    ) -> Option<Self> {
        let outputs = scales.len();
        let inputs = weight.len().checked_div(outputs)?;
        let suits = outputs.is_multiple_of(PANEL) && inputs.is_multiple_of(2 * QUAD) && bias.len() == outputs;
        let addressable = inputs / QUAD * TILE <= usize::from(u16::MAX);
        if !suits || !addressable || inputs * outputs != weight.len() || weight.is_empty() {
            return None;
        }
        let (quads, sums) = quads(weight, zero_point, outputs);
        // SAFETY: `Instructions` is only made for a processor that has them, and both include AVX2.
        let (most, weights) = unsafe {
            let most = largest_activation(&quads);
            match instructions {
                Instructions::Avx2 => (most, Weights::Pairs(PairedQuads::new(&quads, outputs / PANEL, most))),
                Instructions::Vnni => (most, Weights::Quads(quads)),
            }
        };
        Some(Self { inputs, outputs, weights, scales, sums, bias, most })
    }

    pub(super) fn most(&self) -> u8 {
        self.most
    }

    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Writes `rows · weight + bias` to `out`, `[rows, outputs]`, with room for the rows that fill up the
    /// last tile.
    pub(super) fn apply(&self, rows: &QuantisedRows, out: &mut [f32]) {
        assert!(rows.width() == self.inputs && out.len() >= rows.tiles() * TILE * self.outputs);
        for block in Block::of(self.inputs) {
            // SAFETY: weights are packed only for what the processor has, and the sizes were checked.
            unsafe {
                match &self.weights {
                    Weights::Pairs(pairs) => self.apply_avx2(pairs, rows, &block, out),
                    Weights::Quads(quads) => self.apply_vnni(quads, rows, &block, out),
                }
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn apply_avx2(&self, pairs: &PairedQuads, rows: &QuantisedRows, block: &Block, out: &mut [f32]) {
        let panels = self.outputs / PANEL;
        for panel in 0..panels {
            let next = if panel + 1 < panels { pairs.weights(panel + 1, block) } else { &[] };
            for tile in 0..rows.tiles() {
                prefetch(next, tile, rows.tiles());
                // SAFETY: the caller's.
                unsafe {
                    let sums = pairs.multiply(rows.tile(tile).as_ptr(), panel, block);
                    for (row, [low, high]) in sums.into_iter().enumerate() {
                        self.write(panel * PANEL, block, rows, tile * TILE + row, low, out);
                        self.write(panel * PANEL + 8, block, rows, tile * TILE + row, high, out);
                    }
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
    unsafe fn apply_vnni(&self, quads: &[Quad], rows: &QuantisedRows, block: &Block, out: &mut [f32]) {
        let inner = self.inputs / QUAD;
        for (group, panels) in quads.chunks(4 * inner).enumerate() {
            for tile in 0..rows.tiles() {
                // SAFETY: the caller's.
                unsafe {
                    match panels.len() / inner {
                        1 => self.tile_vnni::<1>(panels, rows, tile, 4 * group, block, out),
                        2 => self.tile_vnni::<2>(panels, rows, tile, 4 * group, block, out),
                        3 => self.tile_vnni::<3>(panels, rows, tile, 4 * group, block, out),
                        _ => self.tile_vnni::<4>(panels, rows, tile, 4 * group, block, out),
                    }
                }
            }
        }
    }

    /// One tile of rows by `PANELS` panels, the first of which is `panel`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
    #[inline]
    unsafe fn tile_vnni<const PANELS: usize>(
        &self,
        panels: &[Quad],
        rows: &QuantisedRows,
        tile: usize,
        panel: usize,
        block: &Block,
        out: &mut [f32],
    ) {
        // SAFETY: the caller's.
        unsafe {
            let bytes = rows.tile(tile).as_ptr();
            let sums = vnni::multiply::<PANELS>(bytes, panels, self.inputs / QUAD, block);
            for (row, sums) in sums.iter().enumerate() {
                for (p, sum) in sums.iter().enumerate() {
                    let channel = (panel + p) * PANEL;
                    let (low, high) = (_mm512_castsi512_si256(*sum), _mm512_extracti64x4_epi64::<1>(*sum));
                    self.write(channel, block, rows, tile * TILE + row, low, out);
                    self.write(channel + 8, block, rows, tile * TILE + row, high, out);
                }
            }
        }
    }

    /// Adds eight sums over a block to those over the blocks before, which lie in `out` as integers. After
    /// the last block, outputs take their place: scale · (sum - zero · sum of weights) + bias.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn write(
        &self,
        channel: usize,
        block: &Block,
        rows: &QuantisedRows,
        row: usize,
        mut sums: __m256i,
        out: &mut [f32],
    ) {
        // SAFETY: `channel` is a multiple of eight below `outputs`, which these are as long as.
        unsafe {
            let out = out.as_mut_ptr().add(row * self.outputs + channel);
            if block.quads.start > 0 {
                sums = _mm256_add_epi32(sums, _mm256_loadu_si256(out.cast()));
            }
            if !block.last {
                return _mm256_storeu_si256(out.cast(), sums);
            }
            let RowScale { scale, zero } = rows.scale(row);
            let shift = _mm256_loadu_si256(self.sums.as_ptr().add(channel).cast());
            let shift = _mm256_mullo_epi32(shift, _mm256_set1_epi32(zero));
            let sums = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums, shift));
            let scales = _mm256_loadu_ps(self.scales.as_ptr().add(channel));
            let scales = _mm256_mul_ps(scales, _mm256_set1_ps(scale));
            let bias = _mm256_loadu_ps(self.bias.as_ptr().add(channel));
            _mm256_storeu_ps(out, _mm256_fmadd_ps(sums, scales, bias));
        }
    }
}

/// The quads of `weight`, `[inputs, outputs]`, panel by panel, and each channel's sum.
fn quads(weight: &[u8], zero_point: u8, outputs: usize) -> (Vec<Quad>, Vec<i32>) {
    let mut quads = Vec::with_capacity(weight.len() / (PANEL * QUAD));
    let mut sums = vec![0i32; outputs];
    for (panel, sums) in sums.chunks_exact_mut(PANEL).enumerate() {
        for rows in weight.chunks_exact(QUAD * outputs) {
            let mut quad = Quad::NOTHING;
            for (input, row) in rows.chunks_exact(outputs).enumerate() {
                let row = &row[panel * PANEL..][..PANEL];
                for channel in 0..PANEL {
                    let value = row[channel].wrapping_sub(zero_point).cast_signed();
                    quad.0[channel * QUAD + input] = value;
                    sums[channel] += i32::from(value);
                }
            }
            quads.push(quad);
        }
    }
    (quads, sums)
}

/// Asks for weights early, a share of them with each tile: the caches do not foresee where the next panel
/// lies, and wait for the third one or for memory.
#[inline]
fn prefetch(quads: &[Quad], tile: usize, tiles: usize) {
    let share = quads.len().div_ceil(tiles);
    for quad in quads.iter().skip(tile * share).take(share) {
        // SAFETY: every processor that this runs on has it, and it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(quad.0.as_ptr()) };
    }
}

/// An instruction set that the kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instructions {
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 with VNNI.
    Vnni,
}

impl Instructions {
    /// Those of this processor, the best first; empty when it has none of them.
    pub fn available() -> Vec<Self> {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let vnni = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni");
        match (avx2, vnni) {
            (true, true) => vec![Self::Vnni, Self::Avx2],
            (true, false) => vec![Self::Avx2],
            // The kernels use AVX2 for everything but products.
            (false, _) => Vec::new(),
        }
    }

    /// The best of this processor; `None` when it has none of them.
    pub fn detect() -> Option<Self> {
        Self::available().first().copied()
    }
}

impl std::fmt::Display for Instructions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Avx2 => "AVX2",
            Self::Vnni => "AVX-512 VNNI",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn products_are_those_of_the_dequantised_numbers_on_every_instruction_set(
            seed in 0u64..1000, rows in 1usize..20, octets in 1usize..110, panels in 1usize..7
        ) {
            let (inputs, outputs) = (octets * 2 * QUAD, panels * PANEL);
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as u32
            };
            let weight: Vec<u8> = (0..inputs * outputs).map(|_| (1 + next() % 255) as u8).collect();
            let scales: Vec<f32> = (0..outputs).map(|_| 0.001 + (next() % 100) as f32 * 1e-4).collect();
            let bias: Vec<f32> = (0..outputs).map(|_| (next() % 100) as f32 * 0.1 - 5.0).collect();
            let values: Vec<f32> = (0..rows * inputs).map(|_| (next() % 2000) as f32 * 0.01 - 8.0).collect();
            let mut quantised = QuantisedRows::default();
            let mut results = Vec::new();
            if let Some(best) = Instructions::detect() {
                for instructions in [Instructions::Avx2, best] {
                    let packed = PackedLinear::pack(&weight, 128, scales.clone(), bias.clone(), instructions);
                    let packed = packed.expect("sizes suit");
                    quantised.fill(&values, inputs, packed.most());
                    let mut out = vec![0.0; rows.next_multiple_of(TILE) * outputs];
                    packed.apply(&quantised, &mut out);
                    results.push(out);
                }
                prop_assert_eq!(&results[0], &results[1]);
                for row in 0..rows {
                    for channel in 0..outputs {
                        let dot: f64 = (0..inputs).map(|k| {
                            let weight = (f64::from(weight[k * outputs + channel]) - 128.0) * f64::from(scales[channel]);
                            quantised.value(row, k) * weight
                        }).sum();
                        let expected = dot + f64::from(bias[channel]);
                        let found = f64::from(results[0][row * outputs + channel]);
                        prop_assert!((found - expected).abs() < 1e-3 * (1.0 + expected.abs()), "{} {}", found, expected);
                    }
                }
            }
        }
    }
}
