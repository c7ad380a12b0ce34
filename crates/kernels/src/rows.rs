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

/// The exact Gelu, x · Φ(x), off by less than 1e-6.
///
/// It is max(x, 0) - |x| · Φ(-|x|). The last part is a bump that has vanished at 5.5: a polynomial fitted to it
/// for the least greatest error, in a variable that goes from -1 to 1.
#[target_feature(enable = "avx2,fma")]
pub(super) fn gelu(row: &mut [f32]) {
    const VANISHED: f32 = 5.5;
    const TERMS: [f32; 15] = [
        0.035_862_76,
        -0.039_760_888,
        -0.154_077_63,
        0.236_378_65,
        0.185_007_4,
        -0.548_724_53,
        0.192_288_92,
        0.461_279_33,
        -0.638_72,
        0.260_049_37,
        0.180_241_5,
        -0.308_643_28,
        0.191_202_28,
        -0.060_579_08,
        0.008_194_840_5,
    ];
    for x in row {
        let distance = if x.abs() < VANISHED { x.abs() } else { VANISHED };
        let place = distance.mul_add(2.0 / VANISHED, -1.0);
        let mut bump = TERMS[0];
        for term in &TERMS[1..] {
            bump = bump.mul_add(place, *term);
        }
        *x = (if *x > 0.0 { *x } else { 0.0 }) - bump;
    }
}

/// 2^x for -126 < x ≤ 0, with a relative error under 2e-7.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn power_of_two(x: f32) -> f32 {
    /// Added to a small number, it leaves the nearest whole one in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const TERMS: [f32; 6] =
        [1.327_647e-3, 9.675_541e-3, 5.550_713_5e-2, 0.240_221_2, 0.693_146_94, 1.000_000_1];
    let whole = x + ROUND;
    let rest = x - (whole - ROUND);
    let mut series = TERMS[0];
    for term in &TERMS[1..] {
        series = series.mul_add(rest, *term);
    }
    f32::from_bits(series.to_bits().wrapping_add(whole.to_bits() << 23))
}

/// Turns the first `count` of `scores` into e^(scale · score), divided by the greatest of them so that none
/// overflows, and gives their sum. The number of scores must be a multiple of eight; those behind the first
/// `count` become next to nothing.
#[target_feature(enable = "avx2,fma")]
pub(super) fn exponentials(scores: &mut [f32], count: usize, scale: f32) -> f32 {
    scores[count..].fill(f32::MIN);
    let lanes = scores.as_chunks_mut::<LANES>().0;
    let mut highest = [f32::MIN; LANES];
    for values in lanes.iter() {
        for i in 0..LANES {
            highest[i] = if values[i] > highest[i] { values[i] } else { highest[i] };
        }
    }
    let highest = highest.into_iter().fold(f32::MIN, f32::max);
    let scale = scale * std::f32::consts::LOG2_E;
    let mut sums = [0f32; LANES];
    for values in lanes.iter_mut() {
        for i in 0..LANES {
            let power = (values[i] - highest) * scale;
            values[i] = power_of_two(if power > -125.0 { power } else { -125.0 });
            sums[i] += values[i];
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn can_run() -> bool {
        crate::Instructions::detect().is_some()
    }

    #[test]
    fn gelu_is_exact_to_a_millionth() {
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
            assert!(row.iter().all(|found| (found - expected).abs() < 1e-6), "{x}: {row:?}");
        }
    }

    proptest! {
        #[test]
        fn exponentials_keep_their_ratio_and_give_their_sum(
            scores in proptest::collection::vec(-60f32..60.0, 1..70)
        ) {
            if can_run() {
                let mut weights = scores.clone();
                weights.resize(scores.len().next_multiple_of(LANES), 99.0);
                // SAFETY: the processor has AVX2.
                let found = unsafe { exponentials(&mut weights, scores.len(), 0.5) };
                let highest = scores.iter().copied().fold(f32::MIN, f32::max);
                let exact = |score: &f32| (f64::from(score - highest) * 0.5).exp();
                let sum: f64 = scores.iter().map(exact).sum();
                for (weight, score) in weights.iter().zip(&scores) {
                    prop_assert!((f64::from(*weight) - exact(score)).abs() < 1e-6);
                }
                prop_assert!((f64::from(found) / sum - 1.0).abs() < 1e-6);
            }
        }
    }
}
