//! What one core can do with bytes at most: the multiplying instruction alone, on registers.

use std::arch::x86_64::*;
use std::hint::black_box;
use std::time::Instant;

/// Independent sums, enough to hide how long one instruction takes.
const SUMS: usize = 10;
const STEPS: usize = 4_000_000;
const TRIES: usize = 9;

/// Multiplications and additions of bytes a second, the best of some tries; with VNNI where the processor
/// shows it, else with AVX2's group of instructions.
pub fn integer_peak() -> Option<f64> {
    let vnni = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
    if !vnni && !is_x86_feature_detected!("avx2") {
        return None;
    }
    let once = || {
        let begun = Instant::now();
        // SAFETY: the processor has the instructions.
        let bytes = unsafe { if vnni { vnni_steps() } else { avx2_steps() } };
        (STEPS * SUMS * bytes) as f64 / begun.elapsed().as_secs_f64()
    };
    (0..TRIES).map(|_| once()).reduce(f64::max)
}

/// Gives the bytes that one instruction multiplies.
#[target_feature(enable = "avx512f,avx512vnni")]
fn vnni_steps() -> usize {
    let (a, b) = (black_box(_mm512_set1_epi8(3)), black_box(_mm512_set1_epi8(5)));
    let mut sums = [_mm512_setzero_si512(); SUMS];
    for _ in 0..STEPS {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, a, b);
        }
    }
    black_box(sums);
    64
}

/// Gives the bytes that one group of instructions multiplies: two quads of inputs, which are added in sixteen
/// bits, as the kernels do.
#[target_feature(enable = "avx2")]
fn avx2_steps() -> usize {
    let (a, b) = (black_box(_mm256_set1_epi8(3)), black_box(_mm256_set1_epi8(2)));
    let ones = black_box(_mm256_set1_epi16(1));
    let mut sums = [_mm256_setzero_si256(); SUMS];
    for _ in 0..STEPS {
        for sum in &mut sums {
            // The sum takes part, or the product would be the same each time and be computed once.
            let pairs = _mm256_add_epi16(_mm256_maddubs_epi16(a, *sum), _mm256_maddubs_epi16(b, *sum));
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
        }
    }
    black_box(sums);
    64
}
