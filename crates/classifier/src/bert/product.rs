//! The integer matrix product: rows of unsigned activations with a packed signed weight.
//!
//! AVX2 adds two products of bytes in sixteen bits, which saturate. So each layer says how large an
//! activation may be: as large as its largest pair of neighbouring weights allows, 129 to 255. Sums are then
//! exact with every instruction set, and a score does not depend on the processor.

#![expect(clippy::needless_range_loop, reason = "registers are named by index")]

use std::arch::x86_64::*;
use std::ops::Range;

use super::quantised::{QUAD, QuantisedRows, RowScale, TILE};

/// Output channels computed together: one panel of the packed weight.
const PANEL: usize = 16;
/// Quads of inputs that are multiplied before the next panel's turn comes: 6 KB of weights and 1.9 KB of a
/// tile, which stay in the first cache together.
const DEPTH: usize = 96;

/// A linear layer, its weight laid out in panels of [`PANEL`] output channels, four inputs side by side.
pub(super) struct PackedLinear {
    inputs: usize,
    outputs: usize,
    panels: Vec<i8>,
    /// Per output channel: scale of the weight, sum of its integers, bias.
    scales: Vec<f32>,
    sums: Vec<i32>,
    bias: Vec<f32>,
    /// The largest activation that cannot saturate.
    most: u8,
}

impl PackedLinear {
    /// Packs `weight`, bytes `[inputs, outputs]` that stand for `byte - zero_point`. `None` when the sizes
    /// do not suit the kernels.
    pub(super) fn pack(weight: &[u8], zero_point: u8, scales: Vec<f32>, bias: Vec<f32>) -> Option<Self> {
        let outputs = scales.len();
        let inputs = weight.len().checked_div(outputs)?;
        let suits = outputs.is_multiple_of(PANEL) && inputs.is_multiple_of(2 * QUAD) && bias.len() == outputs;
        if !suits || inputs * outputs != weight.len() {
            return None;
        }
        let mut panels = vec![0i8; weight.len()];
        let mut sums = vec![0i32; outputs];
        for (panel, (packed, sums)) in
            panels.chunks_exact_mut(inputs * PANEL).zip(sums.chunks_exact_mut(PANEL)).enumerate()
        {
            for (quad, packed) in packed.chunks_exact_mut(PANEL * QUAD).enumerate() {
                for input in 0..QUAD {
                    let row = &weight[(quad * QUAD + input) * outputs + panel * PANEL..][..PANEL];
                    for channel in 0..PANEL {
                        let value = row[channel].wrapping_sub(zero_point).cast_signed();
                        packed[channel * QUAD + input] = value;
                        sums[channel] += i32::from(value);
                    }
                }
            }
        }
        let most = largest_activation(&panels);
        Some(Self { inputs, outputs, panels, scales, sums, bias, most })
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
    pub(super) fn apply(&self, rows: &QuantisedRows, out: &mut [f32], instructions: Instructions) {
        assert!(rows.width() == self.inputs && out.len() >= rows.tiles() * TILE * self.outputs);
        let quads = self.inputs / QUAD;
        for first in (0..quads).step_by(DEPTH) {
            let part = first..quads.min(first + DEPTH);
            // SAFETY: `Instructions` is only made for a processor that has them, and the sizes were checked.
            unsafe {
                match instructions {
                    Instructions::Avx2 => self.apply_avx2(rows, part, out),
                    Instructions::Vnni => self.apply_vnni(rows, part, out),
                }
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn apply_avx2(&self, rows: &QuantisedRows, quads: Range<usize>, out: &mut [f32]) {
        for panel in 0..self.outputs / PANEL {
            for tile in 0..rows.tiles() {
                self.prefetch(panel + 1, &quads, tile, rows.tiles());
                // SAFETY: the caller's.
                unsafe { self.tile_avx2(rows, tile, panel, quads.clone(), out) };
            }
        }
    }

    /// Asks for a panel's weights early, a share of them with each of some tiles: the caches do not foresee
    /// where the next panel lies, and wait for the third one or for memory.
    #[inline]
    fn prefetch(&self, panel: usize, quads: &Range<usize>, tile: usize, tiles: usize) {
        let share = quads.len().div_ceil(tiles);
        let first = quads.start + tile * share;
        for quad in first..quads.end.min(first + share) {
            let weight = (panel * self.inputs + quad * QUAD) * PANEL;
            // SAFETY: every processor that this runs on has it, and it reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.panels.as_ptr().wrapping_add(weight)) };
        }
    }

    /// One tile of rows by one panel, over some of the inputs.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn tile_avx2(
        &self,
        rows: &QuantisedRows,
        tile: usize,
        panel: usize,
        quads: Range<usize>,
        out: &mut [f32],
    ) {
        let ones = _mm256_set1_epi16(1);
        let mut sums = [[_mm256_setzero_si256(); 2]; TILE];
        // SAFETY: `apply` checked that rows, panels and `out` have these sizes.
        unsafe {
            let weight = self.panels.as_ptr().add(panel * PANEL * self.inputs);
            let row = rows.tile(tile).as_ptr().cast::<i32>();
            for quad in quads.clone() {
                let weight = weight.add(quad * PANEL * QUAD);
                let low = _mm256_loadu_si256(weight.cast());
                let high = _mm256_loadu_si256(weight.add(32).cast());
                // Loops by index: iterators over registers are not always taken apart by the compiler.
                for r in 0..TILE {
                    let four = _mm256_set1_epi32(row.add(quad * TILE + r).read_unaligned());
                    let pairs = [_mm256_maddubs_epi16(four, low), _mm256_maddubs_epi16(four, high)];
                    sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(pairs[0], ones));
                    sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(pairs[1], ones));
                }
            }
            for (r, scale) in rows.scales(tile).iter().enumerate() {
                let out = out.as_mut_ptr().add((tile * TILE + r) * self.outputs);
                self.write(panel * PANEL, &quads, *scale, sums[r][0], out);
                self.write(panel * PANEL + 8, &quads, *scale, sums[r][1], out);
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
    unsafe fn apply_vnni(&self, rows: &QuantisedRows, quads: Range<usize>, out: &mut [f32]) {
        let panels = self.outputs / PANEL;
        for panel in (0..panels).step_by(4) {
            for tile in 0..rows.tiles() {
                for next in panel + 4..panel + 8 {
                    self.prefetch(next, &quads, tile, rows.tiles());
                }
                // SAFETY: the caller's.
                unsafe {
                    match panels - panel {
                        1 => self.tile_vnni::<1>(rows, tile, panel, quads.clone(), out),
                        2 => self.tile_vnni::<2>(rows, tile, panel, quads.clone(), out),
                        3 => self.tile_vnni::<3>(rows, tile, panel, quads.clone(), out),
                        _ => self.tile_vnni::<4>(rows, tile, panel, quads.clone(), out),
                    }
                }
            }
        }
    }

    /// One tile of rows by `PANELS` panels, over some of the inputs.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
    #[inline]
    unsafe fn tile_vnni<const PANELS: usize>(
        &self,
        rows: &QuantisedRows,
        tile: usize,
        panel: usize,
        quads: Range<usize>,
        out: &mut [f32],
    ) {
        let mut sums = [[_mm512_setzero_si512(); PANELS]; TILE];
        // SAFETY: `apply` checked that rows, panels and `out` have these sizes.
        unsafe {
            let stride = PANEL * self.inputs;
            let weight = self.panels.as_ptr().add(panel * stride);
            let row = rows.tile(tile).as_ptr().cast::<i32>();
            for quad in quads.clone() {
                let weight = weight.add(quad * PANEL * QUAD);
                let mut weights = [_mm512_setzero_si512(); PANELS];
                for p in 0..PANELS {
                    weights[p] = _mm512_loadu_si512(weight.add(p * stride).cast());
                }
                for r in 0..TILE {
                    let four = _mm512_set1_epi32(row.add(quad * TILE + r).read_unaligned());
                    for p in 0..PANELS {
                        sums[r][p] = _mm512_dpbusd_epi32(sums[r][p], four, weights[p]);
                    }
                }
            }
            for (r, scale) in rows.scales(tile).iter().enumerate() {
                let out = out.as_mut_ptr().add((tile * TILE + r) * self.outputs);
                for (p, sum) in sums[r].iter().enumerate() {
                    let channel = (panel + p) * PANEL;
                    let (low, high) = (_mm512_castsi512_si256(*sum), _mm512_extracti64x4_epi64::<1>(*sum));
                    self.write(channel, &quads, *scale, low, out);
                    self.write(channel + 8, &quads, *scale, high, out);
                }
            }
        }
    }

    /// Adds eight sums over `quads` to those over the quads before, which lie in `out` as integers. After the
    /// last quad, outputs take their place: scale · (sum - zero · sum of weights) + bias.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn write(
        &self,
        channel: usize,
        quads: &Range<usize>,
        row: RowScale,
        mut sums: __m256i,
        out: *mut f32,
    ) {
        // SAFETY: `channel` is a multiple of eight below `outputs`, which these are as long as.
        unsafe {
            let out = out.add(channel);
            if quads.start > 0 {
                sums = _mm256_add_epi32(sums, _mm256_loadu_si256(out.cast()));
            }
            if quads.end * QUAD < self.inputs {
                return _mm256_storeu_si256(out.cast(), sums);
            }
            let shift = _mm256_loadu_si256(self.sums.as_ptr().add(channel).cast());
            let shift = _mm256_mullo_epi32(shift, _mm256_set1_epi32(row.zero));
            let sums = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums, shift));
            let scales = _mm256_loadu_ps(self.scales.as_ptr().add(channel));
            let scales = _mm256_mul_ps(scales, _mm256_set1_ps(row.scale));
            let bias = _mm256_loadu_ps(self.bias.as_ptr().add(channel));
            _mm256_storeu_ps(out, _mm256_fmadd_ps(sums, scales, bias));
        }
    }
}

/// The largest `a` for which two products `a · weight` of neighbours fit into sixteen bits: a positive sum
/// grows with the positive weights alone, a negative one with the negative.
fn largest_activation(panels: &[i8]) -> u8 {
    let pairs = panels.as_chunks::<2>().0.iter().map(|[a, b]| (i32::from(*a), i32::from(*b)));
    let largest = pairs.map(|(a, b)| (a.max(0) + b.max(0)).max(-(a.min(0) + b.min(0)))).max();
    let most = i32::from(i16::MAX) / largest.unwrap_or_default().max(1);
    u8::try_from(most).unwrap_or(u8::MAX)
}

/// What the processor can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instructions {
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 with VNNI.
    Vnni,
}

impl Instructions {
    /// The best of this processor; `None` when it has none of them.
    pub(super) fn detect() -> Option<Self> {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let vnni = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni");
        avx2.then_some(if vnni { Self::Vnni } else { Self::Avx2 })
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
            let packed = PackedLinear::pack(&weight, 128, scales.clone(), bias.clone()).expect("sizes suit");
            let mut quantised = QuantisedRows::default();
            quantised.fill(&values, inputs, packed.most());

            let mut results = Vec::new();
            if let Some(best) = Instructions::detect() {
                for instructions in [Instructions::Avx2, best] {
                    let mut out = vec![0.0; rows.next_multiple_of(TILE) * outputs];
                    packed.apply(&quantised, &mut out, instructions);
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
