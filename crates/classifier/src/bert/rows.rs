//! Element-wise work on rows of floats. Written as plain loops over eight lanes, which the compiler turns
//! into AVX2 instructions.

const LANES: usize = 8;

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

/// Turns the first `count` of `scores` into weights that sum to one, after scaling them by `scale`. The
/// number of scores must be a multiple of eight; those behind the first `count` become anything finite.
#[target_feature(enable = "avx2,fma")]
pub(super) fn softmax(scores: &mut [f32], count: usize, scale: f32) {
    scores[count..].fill(f32::MIN);
    let lanes = scores.as_chunks_mut::<LANES>().0;
    let mut highest = [f32::MIN; LANES];
    for values in lanes.iter() {
        for i in 0..LANES {
            highest[i] = if values[i] > highest[i] { values[i] } else { highest[i] };
        }
    }
    let highest = highest.into_iter().fold(f32::MIN, f32::max);
    for values in lanes.iter_mut() {
        for value in values {
            *value = exp((*value - highest) * scale);
        }
    }
    let (lanes, rest) = scores[..count].as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for values in lanes {
        for i in 0..LANES {
            sums[i] += values[i];
        }
    }
    let sum = rest.iter().fold(sums.iter().sum::<f32>(), |sum, value| sum + value);
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
        fn weights_sum_to_one_and_keep_their_ratio(
            scores in proptest::collection::vec(-60f32..60.0, 1..70)
        ) {
            if can_run() {
                let mut weights = scores.clone();
                weights.resize(scores.len().next_multiple_of(LANES), 99.0);
                // SAFETY: the processor has AVX2.
                unsafe { softmax(&mut weights, scores.len(), 0.5) };
                let highest = scores.iter().copied().fold(f32::MIN, f32::max);
                let exact = |score: &f32| (f64::from(score - highest) * 0.5).exp();
                let sum: f64 = scores.iter().map(exact).sum();
                for (weight, score) in weights.iter().zip(&scores) {
                    prop_assert!((f64::from(*weight) - exact(score) / sum).abs() < 1e-6);
                }
            }
        }
    }
}
