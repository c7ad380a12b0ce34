//! The integer matrix product: rows of unsigned activations with a packed signed weight.
//!
//! AVX2 adds two products of bytes in sixteen bits, which saturate. So each layer says how large an
//! activation may be: as large as its largest pair of neighbouring weights allows, 129 to 255. Sums are then
//! exact with every instruction set, and a score does not depend on the processor.

#![expect(clippy::needless_range_loop, reason = "registers are named by index")]

use std::arch::x86_64::*;

use super::rows::QuantisedRows;

/// Output channels computed together: one panel of the packed weight.
const PANEL: usize = 16;
/// Inputs that one instruction multiplies and adds per output channel.
const QUAD: usize = 4;

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
        let suits = outputs.is_multiple_of(PANEL) && inputs.is_multiple_of(QUAD) && bias.len() == outputs;
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

    /// Writes `rows · weight + bias` to `out`, `[rows, outputs]`.
    pub(super) fn apply(&self, rows: &QuantisedRows, out: &mut [f32], instructions: Instructions) {
        assert!(rows.width() == self.inputs && out.len() >= rows.count() * self.outputs);
        // SAFETY: `Instructions` is only made for a processor that has them, and the sizes were checked.
        unsafe {
            match instructions {
                Instructions::Avx2 => self.apply_avx2(rows, out),
                Instructions::Vnni => self.apply_vnni(rows, out),
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn apply_avx2(&self, rows: &QuantisedRows, out: &mut [f32]) {
        for panel in 0..self.outputs / PANEL {
            let mut first = 0;
            for size in block_sizes(rows.count(), 6) {
                // SAFETY: the caller's.
                unsafe {
                    match size {
                        1 => self.tile_avx2::<1>(rows, first, panel, out),
                        2 => self.tile_avx2::<2>(rows, first, panel, out),
                        3 => self.tile_avx2::<3>(rows, first, panel, out),
                        4 => self.tile_avx2::<4>(rows, first, panel, out),
                        5 => self.tile_avx2::<5>(rows, first, panel, out),
                        _ => self.tile_avx2::<6>(rows, first, panel, out),
                    }
                }
                first += size;
            }
        }
    }

    /// `ROWS` rows by one panel.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn tile_avx2<const ROWS: usize>(
        &self,
        rows: &QuantisedRows,
        first: usize,
        panel: usize,
        out: &mut [f32],
    ) {
        let ones = _mm256_set1_epi16(1);
        let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
        // SAFETY: `apply` checked that rows, panels and `out` have these sizes.
        unsafe {
            let weight = self.panels.as_ptr().add(panel * PANEL * self.inputs);
            let row = rows.row(first);
            for quad in 0..self.inputs / QUAD {
                let weight = weight.add(quad * PANEL * QUAD);
                let low = _mm256_loadu_si256(weight.cast());
                let high = _mm256_loadu_si256(weight.add(32).cast());
                // Loops by index: iterators over registers are not always taken apart by the compiler.
                for r in 0..ROWS {
                    let four = row.add(r * self.inputs + quad * QUAD).cast::<i32>().read_unaligned();
                    let four = _mm256_set1_epi32(four);
                    let pairs = [_mm256_maddubs_epi16(four, low), _mm256_maddubs_epi16(four, high)];
                    sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(pairs[0], ones));
                    sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(pairs[1], ones));
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                let out = out.as_mut_ptr().add((first + r) * self.outputs);
                self.write(panel * PANEL, rows, first + r, sums[0], out);
                self.write(panel * PANEL + 8, rows, first + r, sums[1], out);
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
    unsafe fn apply_vnni(&self, rows: &QuantisedRows, out: &mut [f32]) {
        let panels = self.outputs / PANEL;
        for panel in (0..panels).step_by(2) {
            let mut first = 0;
            for size in block_sizes(rows.count(), 8) {
                // SAFETY: the caller's.
                unsafe {
                    match (panel + 1 < panels, size) {
                        (true, 1) => self.tile_vnni::<1, 2>(rows, first, panel, out),
                        (true, 2) => self.tile_vnni::<2, 2>(rows, first, panel, out),
                        (true, 3) => self.tile_vnni::<3, 2>(rows, first, panel, out),
                        (true, 4) => self.tile_vnni::<4, 2>(rows, first, panel, out),
                        (true, 5) => self.tile_vnni::<5, 2>(rows, first, panel, out),
                        (true, 6) => self.tile_vnni::<6, 2>(rows, first, panel, out),
                        (true, 7) => self.tile_vnni::<7, 2>(rows, first, panel, out),
                        (true, _) => self.tile_vnni::<8, 2>(rows, first, panel, out),
                        (false, _) => {
                            for row in first..first + size {
                                self.tile_vnni::<1, 1>(rows, row, panel, out);
                            }
                        }
                    }
                }
                first += size;
            }
        }
    }

    /// `ROWS` rows by `PANELS` panels.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
    #[inline]
    unsafe fn tile_vnni<const ROWS: usize, const PANELS: usize>(
        &self,
        rows: &QuantisedRows,
        first: usize,
        panel: usize,
        out: &mut [f32],
    ) {
        let mut sums = [[_mm512_setzero_si512(); PANELS]; ROWS];
        // SAFETY: `apply` checked that rows, panels and `out` have these sizes.
        unsafe {
            let stride = PANEL * self.inputs;
            let weight = self.panels.as_ptr().add(panel * stride);
            let row = rows.row(first);
            for quad in 0..self.inputs / QUAD {
                let weight = weight.add(quad * PANEL * QUAD);
                let mut weights = [_mm512_setzero_si512(); PANELS];
                for p in 0..PANELS {
                    weights[p] = _mm512_loadu_si512(weight.add(p * stride).cast());
                }
                for r in 0..ROWS {
                    let four = row.add(r * self.inputs + quad * QUAD).cast::<i32>().read_unaligned();
                    let four = _mm512_set1_epi32(four);
                    for p in 0..PANELS {
                        sums[r][p] = _mm512_dpbusd_epi32(sums[r][p], four, weights[p]);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                let out = out.as_mut_ptr().add((first + r) * self.outputs);
                for (p, sum) in sums.iter().enumerate() {
                    let channel = (panel + p) * PANEL;
                    let (low, high) = (_mm512_castsi512_si256(*sum), _mm512_extracti64x4_epi64::<1>(*sum));
                    self.write(channel, rows, first + r, low, out);
                    self.write(channel + 8, rows, first + r, high, out);
                }
            }
        }
    }

    /// From eight integer sums to outputs: scale · (sum - zero · sum of weights) + bias.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn write(&self, channel: usize, rows: &QuantisedRows, row: usize, sums: __m256i, out: *mut f32) {
        let (scale, zero) = rows.scale(row);
        // SAFETY: `channel` is a multiple of eight below `outputs`, which these are as long as.
        unsafe {
            let shift = _mm256_loadu_si256(self.sums.as_ptr().add(channel).cast());
            let shift = _mm256_mullo_epi32(shift, _mm256_set1_epi32(zero));
            let sums = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums, shift));
            let scales =
                _mm256_mul_ps(_mm256_loadu_ps(self.scales.as_ptr().add(channel)), _mm256_set1_ps(scale));
            let bias = _mm256_loadu_ps(self.bias.as_ptr().add(channel));
            _mm256_storeu_ps(out.add(channel), _mm256_fmadd_ps(sums, scales, bias));
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

/// Cuts `rows` into blocks of at most `most` that differ by one at most: a last block of one row would
/// read the whole weight for little.
fn block_sizes(rows: usize, most: usize) -> impl Iterator<Item = usize> {
    let blocks = rows.div_ceil(most).max(1);
    (0..blocks).map(move |block| (rows + block) / blocks).filter(|size| *size > 0)
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

    #[test]
    fn blocks_cover_all_rows_evenly() {
        for rows in 1..200 {
            let sizes: Vec<usize> = block_sizes(rows, 6).collect();
            assert_eq!(sizes.iter().sum::<usize>(), rows);
            let (least, most) = (sizes.iter().min().expect("one"), sizes.iter().max().expect("one"));
            assert!(most - least <= 1 && *most <= 6, "{rows}: {sizes:?}");
        }
    }

    proptest! {
        #[test]
        fn products_are_those_of_the_dequantised_numbers_on_every_instruction_set(
            seed in 0u64..1000, rows in 1usize..20, quads in 1usize..40, panels in 1usize..5
        ) {
            let (inputs, outputs) = (quads * QUAD, panels * PANEL);
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
                    let mut out = vec![0.0; rows * outputs];
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
