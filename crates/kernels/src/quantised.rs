//! Rows of floats as bytes, laid out as the integer product reads them.

use std::arch::x86_64::*;

/// Rows multiplied together.
pub(super) const TILE: usize = 5;
/// Inputs that one instruction multiplies and adds per output channel.
pub(super) const QUAD: usize = 4;

const LANES: usize = 8;

/// Rows, each quantised with a scale and a zero point of its own: value ≈ scale · (byte - zero).
///
/// Bytes lie in tiles of [`TILE`] rows: the first [`QUAD`] of each row, then the next of each, and so on. So
/// a product reads a tile from front to back. The last tile is filled up with rows of nothing.
#[derive(Default)]
pub(super) struct QuantisedRows {
    width: usize,
    /// Four bytes each, the first the lowest.
    quads: Vec<i32>,
    scales: Vec<RowScale>,
}

/// How a row's bytes are read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RowScale {
    pub scale: f32,
    pub zero: i32,
}

impl QuantisedRows {
    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn tiles(&self) -> usize {
        self.scales.len() / TILE
    }

    /// The tile's bytes, by quads of inputs and then by rows.
    pub(super) fn tile(&self, tile: usize) -> &[i32] {
        let size = self.width / QUAD * TILE;
        &self.quads[tile * size..][..size]
    }

    pub(super) fn scale(&self, row: usize) -> RowScale {
        self.scales[row]
    }

    /// Quantises `values`, rows of `width` each, to bytes up to `most`, in the place of what was there.
    /// `width` must be a multiple of eight.
    pub(super) fn fill(&mut self, values: &[f32], width: usize, most: u8) {
        assert!(width.is_multiple_of(LANES) && values.len().is_multiple_of(width));
        let rows = values.len() / width;
        self.width = width;
        self.quads.resize(rows.next_multiple_of(TILE) * (width / QUAD), 0);
        self.scales.clear();
        self.scales.resize(rows.next_multiple_of(TILE), RowScale::default());
        let tiles = self.quads.chunks_exact_mut(width / QUAD * TILE).zip(self.scales.chunks_exact_mut(TILE));
        for ((quads, scales), values) in tiles.zip(values.chunks(width * TILE)) {
            for (place, (row, scale)) in values.chunks_exact(width).zip(scales).enumerate() {
                // SAFETY: a `Bert`, and so this, exists only on a processor with AVX2.
                *scale = unsafe { quantise(row, &mut quads[place..], most) };
            }
        }
    }

    #[cfg(test)]
    pub(super) fn value(&self, row: usize, column: usize) -> f64 {
        let RowScale { scale, zero } = self.scales[row];
        let quad = self.tile(row / TILE)[column / QUAD * TILE + row % TILE];
        f64::from(scale) * f64::from(i32::from(quad.to_le_bytes()[column % QUAD]) - zero)
    }
}

/// Quantises a row; its quads go to every [`TILE`]th place of `quads`. Zero is always one of the steps, so a
/// row of one sign begins or ends there.
#[target_feature(enable = "avx2,fma")]
fn quantise(row: &[f32], quads: &mut [i32], most: u8) -> RowScale {
    let (low, high) = range(row);
    let places = quads.chunks_mut(2 * TILE);
    if high <= low {
        places.for_each(|places| (places[0], places[TILE]) = (0, 0));
        return RowScale { scale: 1.0, zero: 0 };
    }
    let inverse = f32::from(most) / (high - low);
    let zero = (-low * inverse).round_ties_even() as i32;
    let (inverses, zeros) = (_mm256_set1_ps(inverse), _mm256_set1_epi32(zero));
    let limit = _mm_set1_epi8(most.cast_signed());
    for (values, places) in row.as_chunks::<LANES>().0.iter().zip(places) {
        // SAFETY: there are eight values.
        let values = unsafe { _mm256_loadu_ps(values.as_ptr()) };
        // What is no number becomes the least integer, and 0 in the end.
        let steps = _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_mul_ps(values, inverses)), zeros);
        let (left, right) = (_mm256_castsi256_si128(steps), _mm256_extracti128_si256::<1>(steps));
        let words = _mm_packus_epi32(left, right);
        let bytes = _mm_min_epu8(_mm_packus_epi16(words, words), limit);
        places[0] = _mm_cvtsi128_si32(bytes);
        places[TILE] = _mm_extract_epi32::<1>(bytes);
    }
    RowScale { scale: (high - low) / f32::from(most), zero }
}

/// The least and greatest value, zero included. Four groups of lanes, because one comparison waits for the
/// one before.
#[target_feature(enable = "avx2,fma")]
fn range(row: &[f32]) -> (f32, f32) {
    let least = |a: f32, b: f32| if b < a { b } else { a };
    let greatest = |a: f32, b: f32| if b > a { b } else { a };
    let (mut low, mut high) = ([0f32; 4 * LANES], [0f32; 4 * LANES]);
    let (groups, rest) = row.as_chunks::<{ 4 * LANES }>();
    for values in groups {
        for i in 0..4 * LANES {
            low[i] = least(low[i], values[i]);
            high[i] = greatest(high[i], values[i]);
        }
    }
    let low = low.iter().chain(rest).copied().fold(0.0, least);
    (low, high.iter().chain(rest).copied().fold(0.0, greatest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_quantised_value_is_off_by_half_a_step(
            rows in proptest::collection::vec(proptest::collection::vec(-9f32..9.0, 40), 1..15)
        ) {
            if crate::Instructions::detect().is_some() {
                let mut quantised = QuantisedRows::default();
                quantised.fill(&rows.concat(), 40, 127);
                prop_assert_eq!(quantised.tiles(), rows.len().div_ceil(TILE));
                for (index, row) in rows.iter().enumerate() {
                    let scale = f64::from(quantised.scales[index].scale);
                    for (column, value) in row.iter().enumerate() {
                        // Zero is moved onto a step, by up to half of one.
                        let error = (quantised.value(index, column) - f64::from(*value)).abs();
                        prop_assert!(error <= scale * 1.01, "{} {}", index, column);
                    }
                }
            }
        }
    }
}
