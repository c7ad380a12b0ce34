//! Attention inside one window, in floats.

#![expect(clippy::needless_range_loop, reason = "registers are named by index")]

use std::arch::x86_64::*;

use super::rows::exponentials;

/// Columns computed together: one panel of a packed matrix.
const COLUMNS: usize = 16;
/// Rows computed together.
const ROWS: usize = 6;

/// Space that is used again for every window.
#[derive(Default)]
pub(super) struct AttentionScratch {
    keys: Panels,
    values: Panels,
    /// Of some rows with every token.
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
    let scale = 1.0 / (size as f32).sqrt();
    let AttentionScratch { keys, values, scores } = scratch;
    scores.resize(ROWS * padded, 0.0);
    for head in (0..width).step_by(size) {
        let rows = || joined.chunks_exact(3 * width);
        keys.pack_transposed(rows().map(|row| &row[width + head..][..size]), tokens, size);
        values.pack(rows().map(|row| &row[2 * width + head..][..size]), tokens, size);
        let blocks = joined.chunks(ROWS * 3 * width).zip(context.chunks_mut(ROWS * width));
        for (queries, context) in blocks {
            let rows = context.len() / width;
            let queries = Rows { values: &queries[head..], stride: 3 * width, count: rows };
            product(queries, keys, scores, padded);
            let mut sums = [0.0; ROWS];
            for (scores, sum) in scores.chunks_exact_mut(padded).zip(&mut sums).take(rows) {
                *sum = exponentials(scores, tokens, scale);
            }
            let weights = Rows { values: scores, stride: padded, count: rows };
            product(weights, values, &mut context[head..], width);
            // Weights sum to one: here, where there are fewer numbers than weights.
            for (context, sum) in context.chunks_exact_mut(width).zip(sums) {
                let inverse = 1.0 / sum;
                context[head..][..size].iter_mut().for_each(|value| *value *= inverse);
            }
        }
    }
}

/// A matrix in panels of [`COLUMNS`] columns, each read from front to back by a product. Rows of the joined
/// matrix lie a large power of two apart and would push each other out of the cache.
#[derive(Default)]
struct Panels {
    values: Vec<f32>,
    inner: usize,
}

impl Panels {
    /// Takes `inner` rows of `columns`, a multiple of [`COLUMNS`].
    fn pack<'a>(&mut self, rows: impl Iterator<Item = &'a [f32]>, inner: usize, columns: usize) {
        self.inner = inner;
        self.values.resize(inner * columns, 0.0);
        for (place, row) in rows.enumerate() {
            for (panel, part) in row.chunks_exact(COLUMNS).enumerate() {
                self.values[(panel * inner + place) * COLUMNS..][..COLUMNS].copy_from_slice(part);
            }
        }
    }

    /// Takes `columns` rows of `inner`; columns that fill up the last panel are zero.
    fn pack_transposed<'a>(&mut self, rows: impl Iterator<Item = &'a [f32]>, columns: usize, inner: usize) {
        self.inner = inner;
        self.values.resize(inner * columns.next_multiple_of(COLUMNS), 0.0);
        if let Some(last) = self.values.len().checked_sub(inner * COLUMNS) {
            self.values[last..].fill(0.0);
        }
        for (column, row) in rows.enumerate() {
            let panel = &mut self.values[column / COLUMNS * COLUMNS * inner..][..COLUMNS * inner];
            let places = panel.as_chunks_mut::<COLUMNS>().0;
            places.iter_mut().zip(row).for_each(|(place, value)| place[column % COLUMNS] = *value);
        }
    }
}

/// Up to [`ROWS`] rows that lie `stride` floats apart.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    stride: usize,
    count: usize,
}

/// `a · b` to rows of `out` that lie `stride` floats apart.
#[target_feature(enable = "avx2,fma")]
fn product(a: Rows, b: &Panels, out: &mut [f32], stride: usize) {
    for (panel, columns) in b.values.chunks_exact(b.inner * COLUMNS).enumerate() {
        let out = &mut out[panel * COLUMNS..];
        match a.count {
            1 => tile::<1>(a, columns, out, stride),
            2 => tile::<2>(a, columns, out, stride),
            3 => tile::<3>(a, columns, out, stride),
            4 => tile::<4>(a, columns, out, stride),
            5 => tile::<5>(a, columns, out, stride),
            _ => tile::<ROWS>(a, columns, out, stride),
        }
    }
}

/// `COUNT` rows by one panel.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn tile<const COUNT: usize>(a: Rows, panel: &[f32], out: &mut [f32], stride: usize) {
    let panel = panel.as_chunks::<COLUMNS>().0;
    assert!(a.values.len() >= (COUNT - 1) * a.stride + panel.len());
    assert!(out.len() >= (COUNT - 1) * stride + COLUMNS);
    let mut sums = [[_mm256_setzero_ps(); 2]; COUNT];
    // SAFETY: the assertions.
    unsafe {
        for (i, columns) in panel.iter().enumerate() {
            let (left, right) = (_mm256_loadu_ps(columns.as_ptr()), _mm256_loadu_ps(columns.as_ptr().add(8)));
            for r in 0..COUNT {
                let a = _mm256_set1_ps(*a.values.as_ptr().add(r * a.stride + i));
                sums[r][0] = _mm256_fmadd_ps(a, left, sums[r][0]);
                sums[r][1] = _mm256_fmadd_ps(a, right, sums[r][1]);
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let out = out.as_mut_ptr().add(r * stride);
            _mm256_storeu_ps(out, sums[0]);
            _mm256_storeu_ps(out.add(8), sums[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The context of one feature of one token, in f64.
    fn exact(joined: &[f32], tokens: usize, width: usize, size: usize, token: usize, feature: usize) -> f64 {
        let at = |token: usize, column: usize| f64::from(joined[token * 3 * width + column]);
        let head = feature / size * size;
        let score = |other: usize| -> f64 {
            let dot: f64 = (head..head + size).map(|i| at(token, i) * at(other, width + i)).sum();
            (dot / (size as f64).sqrt()).exp()
        };
        let sum: f64 = (0..tokens).map(score).sum();
        (0..tokens).map(|other| score(other) / sum * at(other, 2 * width + feature)).sum()
    }

    proptest! {
        #[test]
        fn each_token_gets_the_weighted_mean_of_all_values(
            seed in 0u32..1000, tokens in 1usize..40, heads in 1usize..4, panels in 1usize..3
        ) {
            if crate::Instructions::detect().is_none() {
                return Ok(());
            }
            let (size, width) = (panels * COLUMNS, heads * panels * COLUMNS);
            let value = |i: usize| ((i as u32 ^ seed).wrapping_mul(2_654_435_761) >> 16) as f32 / 16384.0 - 2.0;
            let joined: Vec<f32> = (0..tokens * 3 * width).map(value).collect();
            // What a window before has left must not matter.
            let mut scratch = AttentionScratch::default();
            let mut context = vec![0.0; tokens * width];
            for window in [vec![9.0; 41 * 3 * width], joined.clone()] {
                let tokens = window.len() / (3 * width);
                context = vec![0.0; tokens * width];
                // SAFETY: the processor has AVX2.
                unsafe { attend(&window, tokens, heads, &mut scratch, &mut context) };
            }
            for (place, found) in context.iter().enumerate() {
                let expected = exact(&joined, tokens, width, size, place / width, place % width);
                prop_assert!((f64::from(*found) - expected).abs() < 1e-5, "{} {}", found, expected);
            }
        }
    }
}
