//! Element-wise work on rows of floats. Written as plain loops over eight lanes, which the compiler turns
//! into AVX2 instructions.

const LANES: usize = 8;

/// Rows of floats, each quantised with a scale and a zero point of its own: value ≈ scale · (byte - zero).
#[derive(Default)]
pub(super) struct QuantisedRows {
    width: usize,
    bytes: Vec<u8>,
    scales: Vec<(f32, i32)>,
}

impl QuantisedRows {
    pub(super) fn count(&self) -> usize {
        self.scales.len()
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn row(&self, row: usize) -> *const u8 {
        self.bytes[row * self.width..].as_ptr()
    }

    pub(super) fn scale(&self, row: usize) -> (f32, i32) {
        self.scales[row]
    }

    /// Quantises `values`, rows of `width` each, to bytes up to `most`, in the place of what was there.
    pub(super) fn fill(&mut self, values: &[f32], width: usize, most: u8) {
        self.width = width;
        self.bytes.resize(values.len(), 0);
        self.scales.clear();
        for (row, bytes) in values.chunks_exact(width).zip(self.bytes.chunks_exact_mut(width)) {
            // SAFETY: a `Bert`, and so this, exists only on a processor with AVX2.
            self.scales.push(unsafe { quantise(row, bytes, f32::from(most)) });
        }
    }

    #[cfg(test)]
    pub(super) fn value(&self, row: usize, column: usize) -> f64 {
        let (scale, zero) = self.scales[row];
        f64::from(scale) * f64::from(i32::from(self.bytes[row * self.width + column]) - zero)
    }
}

/// Zero is always one of the steps, so a row of one sign begins or ends there.
#[target_feature(enable = "avx2,fma")]
fn quantise(row: &[f32], bytes: &mut [u8], most: f32) -> (f32, i32) {
    let (low, high) = range(row);
    if high <= low {
        bytes.fill(0);
        return (1.0, 0);
    }
    let scale = (high - low) / most;
    let inverse = most / (high - low);
    let zero = (-low * inverse).round_ties_even();
    for (value, byte) in row.iter().zip(bytes) {
        let step = (value * inverse).round_ties_even() + zero;
        // The comparisons keep what is no number out of the conversion: it becomes 0.
        let step = if step > 0.0 { step } else { 0.0 };
        let step = if step < most { step } else { most };
        // SAFETY: it is a whole number from 0 to `most`.
        *byte = unsafe { step.to_int_unchecked::<i32>() } as u8;
    }
    (scale, zero as i32)
}

/// The least and greatest value, zero included.
#[target_feature(enable = "avx2,fma")]
fn range(row: &[f32]) -> (f32, f32) {
    let (mut low, mut high) = ([0f32; LANES], [0f32; LANES]);
    for values in row.as_chunks::<LANES>().0 {
        for i in 0..LANES {
            low[i] = if values[i] < low[i] { values[i] } else { low[i] };
            high[i] = if values[i] > high[i] { values[i] } else { high[i] };
        }
    }
    (low.into_iter().fold(0.0, f32::min), high.into_iter().fold(0.0, f32::max))
}

/// Adds `residual` to `row` and normalises: mean 0, variance 1, then `gamma` and `beta`.
#[target_feature(enable = "avx2,fma")]
pub(super) fn add_and_normalise(
    row: &mut [f32],
    residual: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
) {
    let mut sums = [0f32; LANES];
    for (values, residual) in row.as_chunks_mut::<LANES>().0.iter_mut().zip(residual.as_chunks::<LANES>().0) {
        for i in 0..LANES {
            values[i] += residual[i];
            sums[i] += values[i];
        }
    }
    let mean = sums.iter().sum::<f32>() / row.len() as f32;
    let mut squares = [0f32; LANES];
    for values in row.as_chunks::<LANES>().0 {
        for i in 0..LANES {
            squares[i] = (values[i] - mean).mul_add(values[i] - mean, squares[i]);
        }
    }
    let variance = squares.iter().sum::<f32>() / row.len() as f32;
    let inverse = 1.0 / (variance + epsilon).sqrt();
    for ((value, gamma), beta) in row.iter_mut().zip(gamma).zip(beta) {
        *value = ((*value - mean) * inverse).mul_add(*gamma, *beta);
    }
}

/// The exact Gelu: x · Φ(x).
#[target_feature(enable = "avx2,fma")]
pub(super) fn gelu(row: &mut [f32]) {
    for x in row {
        *x *= normal_distribution(*x);
    }
}

/// Φ(x), by Abramowitz and Stegun 7.1.26; off by less than 1.5e-7.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn normal_distribution(x: f32) -> f32 {
    const TERMS: [f32; 5] = [0.254_829_6, -0.284_496_72, 1.421_413_8, -1.453_152, 1.061_405_4];
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
    let series =
        TERMS[4].mul_add(t, TERMS[3]).mul_add(t, TERMS[2]).mul_add(t, TERMS[1]).mul_add(t, TERMS[0]) * t;
    let tail = 0.5 * series * exp(-z * z);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// exp(x) for x ≤ 0, with a relative error under 2e-7; below -87 it is that of -87, nearly nothing.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn exp(x: f32) -> f32 {
    let x = if x > -87.0 { x } else { -87.0 };
    let power = (x * std::f32::consts::LOG2_E).round_ties_even();
    // ln 2 in two parts, so that the remainder is exact.
    let rest = power.mul_add(-0.693_359_4, x);
    let rest = power.mul_add(2.121_944_4e-4, rest);
    const TERMS: [f32; 6] =
        [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let series = TERMS[0].mul_add(rest, TERMS[1]).mul_add(rest, TERMS[2]).mul_add(rest, TERMS[3]);
    let series = series.mul_add(rest, TERMS[4]).mul_add(rest, TERMS[5]);
    let series = (series * rest).mul_add(rest, rest + 1.0);
    // SAFETY: it is a whole number from -126 to 0.
    let exponent = unsafe { power.to_int_unchecked::<i32>() };
    series * f32::from_bits(((exponent + 127) << 23).cast_unsigned())
}

/// Turns scores into weights that sum to one, after scaling them by `scale`.
#[target_feature(enable = "avx2,fma")]
pub(super) fn softmax(scores: &mut [f32], scale: f32) {
    let (lanes, rest) = scores.as_chunks_mut::<LANES>();
    let mut highest = [f32::MIN; LANES];
    for values in lanes.iter() {
        for i in 0..LANES {
            highest[i] = if values[i] > highest[i] { values[i] } else { highest[i] };
        }
    }
    let highest = highest.iter().chain(rest.iter()).copied().fold(f32::MIN, f32::max);
    let mut sums = [0f32; LANES];
    for values in lanes {
        for i in 0..LANES {
            values[i] = exp((values[i] - highest) * scale);
            sums[i] += values[i];
        }
    }
    let mut sum = sums.iter().sum::<f32>();
    for score in rest {
        *score = exp((*score - highest) * scale);
        sum += *score;
    }
    let inverse = 1.0 / sum;
    scores.iter_mut().for_each(|score| *score *= inverse);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn can_run() -> bool {
        super::super::product::Instructions::detect().is_some()
    }

    #[test]
    fn gelu_is_exact_to_float_precision() {
        if !can_run() {
            return;
        }
        // x, x · Φ(x) to nine digits.
        for (x, expected) in
            [(0.0, 0.0), (1.0, 0.841_344_7), (-1.0, -0.158_655_26), (3.0, 2.995_950_3), (-9.0, 0.0)]
        {
            let mut row = [x; 9];
            // SAFETY: the processor has AVX2.
            unsafe { gelu(&mut row) };
            assert!(row.iter().all(|found| (found - expected).abs() < 5e-7), "{x}: {row:?}");
        }
    }

    proptest! {
        #[test]
        fn weights_sum_to_one_and_keep_their_ratio(scores in proptest::collection::vec(-60f32..60.0, 1..70)) {
            if can_run() {
                let mut weights = scores.clone();
                // SAFETY: the processor has AVX2.
                unsafe { softmax(&mut weights, 0.5) };
                prop_assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                let exact: f64 = scores.iter().map(|s| f64::from((s - scores[0]) * 0.5).exp()).sum();
                prop_assert!((f64::from(weights[0]) - 1.0 / exact).abs() < 1e-6);
            }
        }

        #[test]
        fn a_quantised_value_is_off_by_half_a_step(row in proptest::collection::vec(-9f32..9.0, 24)) {
            if can_run() {
                let mut rows = QuantisedRows::default();
                rows.fill(&row, 24, 127);
                let (scale, _) = rows.scale(0);
                for (column, value) in row.iter().enumerate() {
                    // Zero is moved onto a step, by up to half of one.
                    prop_assert!((rows.value(0, column) - f64::from(*value)).abs() <= f64::from(scale) * 1.01);
                }
            }
        }
    }
}
