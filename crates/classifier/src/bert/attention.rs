//! Attention inside one window, in floats.

#![expect(clippy::needless_range_loop, reason = "registers are named by index")]

use std::arch::x86_64::*;

use super::rows::softmax;

/// Columns computed together.
const COLUMNS: usize = 16;

/// Space that is used again for every window.
#[derive(Default)]
pub(super) struct AttentionScratch {
    keys: Vec<f32>,
    scores: Vec<f32>,
}

/// Multi-head attention over `joined`, `[tokens, 3 · width]` with queries, keys and values side by side;
/// the result goes to `context`, `[tokens, width]`. A head's size must be a multiple of [`COLUMNS`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn attend(
    joined: &[f32],
    tokens: usize,
    heads: usize,
    scratch: &mut AttentionScratch,
    context: &mut [f32],
) {
    let width = context.len() / tokens;
    let size = width / heads;
    let padded = tokens.next_multiple_of(COLUMNS);
    scratch.keys.clear();
    scratch.keys.resize(size * padded, 0.0);
    scratch.scores.resize(tokens * padded, 0.0);
    for head in 0..heads {
        let (query, key, value) = (head * size, width + head * size, 2 * width + head * size);
        for token in 0..tokens {
            let row = &joined[token * 3 * width + key..][..size];
            row.iter().enumerate().for_each(|(i, feature)| scratch.keys[i * padded + token] = *feature);
        }
        product(
            Strided { values: &joined[query..], stride: 3 * width },
            Strided { values: &scratch.keys, stride: padded },
            [tokens, size, padded],
            &mut scratch.scores,
            padded,
        );
        for scores in scratch.scores.chunks_exact_mut(padded).take(tokens) {
            softmax(&mut scores[..tokens], 1.0 / (size as f32).sqrt());
        }
        product(
            Strided { values: &scratch.scores, stride: padded },
            Strided { values: &joined[value..], stride: 3 * width },
            [tokens, tokens, size],
            &mut context[head * size..],
            width,
        );
    }
}

/// A matrix whose rows lie `stride` floats apart.
#[derive(Clone, Copy)]
struct Strided<'a> {
    values: &'a [f32],
    stride: usize,
}

/// `a [rows, inner] · b [inner, columns]`, `columns` a multiple of [`COLUMNS`].
#[target_feature(enable = "avx2,fma")]
fn product(a: Strided, b: Strided, [rows, inner, columns]: [usize; 3], out: &mut [f32], stride: usize) {
    let enough = |values: &[f32], stride: usize, rows: usize, columns: usize| {
        values.len() >= (rows - 1) * stride + columns
    };
    assert!(enough(a.values, a.stride, rows, inner) && enough(b.values, b.stride, inner, columns));
    assert!(enough(out, stride, rows, columns) && columns.is_multiple_of(COLUMNS));
    for column in (0..columns).step_by(COLUMNS) {
        for row in (0..rows).step_by(4) {
            // SAFETY: the assertions.
            unsafe {
                let from = (a.values.as_ptr().add(row * a.stride), a.stride);
                let by = (b.values.as_ptr().add(column), b.stride);
                let to = (out.as_mut_ptr().add(row * stride + column), stride);
                match rows - row {
                    1 => tile::<1>(from, by, inner, to),
                    2 => tile::<2>(from, by, inner, to),
                    3 => tile::<3>(from, by, inner, to),
                    _ => tile::<4>(from, by, inner, to),
                }
            }
        }
    }
}

/// `ROWS` rows by [`COLUMNS`] columns. Pointers come with the distance of rows in floats.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn tile<const ROWS: usize>(
    (a, a_stride): (*const f32, usize),
    (b, b_stride): (*const f32, usize),
    inner: usize,
    (out, out_stride): (*mut f32, usize),
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    // SAFETY: the caller's matrices are that large.
    unsafe {
        for i in 0..inner {
            let b = b.add(i * b_stride);
            let (left, right) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
            for r in 0..ROWS {
                let a = _mm256_set1_ps(*a.add(r * a_stride + i));
                sums[r][0] = _mm256_fmadd_ps(a, left, sums[r][0]);
                sums[r][1] = _mm256_fmadd_ps(a, right, sums[r][1]);
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            _mm256_storeu_ps(out.add(r * out_stride), sums[0]);
            _mm256_storeu_ps(out.add(r * out_stride + 8), sums[1]);
        }
    }
}
