//! How far sums in sixteen bits reach: how large activations may be, and which quads of weights may be added.
//!
//! Quads fit together when no activation can lift the sum of their products out of sixteen bits. Any two
//! quads may meet, because the order of the inputs does not matter to a sum of integers, so nearly all of
//! them find a partner.

use std::arch::x86_64::*;

use super::Quad;

/// A quad and its partner, by their places in the block; one may be left without.
pub(super) type Pair = (usize, Option<usize>);

/// Pairs up the quads of a block, whose activations are `most` at most. The largest quads choose first, as
/// the fewest others fit them.
#[target_feature(enable = "avx2,fma")]
pub(super) fn pair_up(quads: &[Quad], most: u8) -> Vec<Pair> {
    let limit = u8::try_from(i16::MAX / i16::from(most.max(1))).unwrap_or(u8::MAX).min(u8::MAX - 1);
    let mut reaches = Vec::with_capacity(quads.len());
    let mut left = Vec::with_capacity(quads.len());
    for (place, quad) in quads.iter().enumerate() {
        let reach = Reach::of(quad);
        left.push((reach.largest(), place));
        reaches.push(reach);
    }
    left.sort_unstable();
    let mut pairs = Vec::with_capacity(quads.len());
    while let Some((_, place)) = left.pop() {
        let partner = left.iter().rposition(|(_, other)| reaches[place].fits(reaches[*other], limit));
        pairs.push((place, partner.map(|partner| left.remove(partner).1)));
    }
    pairs
}

/// The largest activation whose products with two neighbours of every quad fit into sixteen bits: a positive
/// sum grows with the positive weights alone, a negative one with the negative.
#[target_feature(enable = "avx2,fma")]
pub(super) fn largest_activation(quads: &[Quad]) -> u8 {
    let mut largest = 1;
    for quad in quads {
        largest = Reach::of(quad).largest().max(largest);
    }
    u8::try_from(i16::MAX / i16::from(largest)).unwrap_or(u8::MAX)
}

/// How far two neighbours reach for an activation of one: the sum of those above zero, and of those below
/// without their sign. A byte for each of 32 pairs in both; 255 stands for more, too.
#[derive(Clone, Copy)]
struct Reach {
    above: __m256i,
    below: __m256i,
}

impl Reach {
    #[target_feature(enable = "avx2,fma")]
    fn of(quad: &Quad) -> Self {
        let (zero, ones) = (_mm256_setzero_si256(), _mm256_set1_epi8(1));
        // SAFETY: each half of a quad is 32 bytes.
        let half = |at: usize| unsafe { _mm256_load_si256(quad.0.as_ptr().add(at).cast()) };
        let halves = [half(0), half(32)];
        let above = halves.map(|weights| _mm256_maddubs_epi16(_mm256_max_epi8(weights, zero), ones));
        let negated = halves.map(|weights| _mm256_sub_epi8(zero, _mm256_min_epi8(weights, zero)));
        let below = negated.map(|weights| _mm256_maddubs_epi16(weights, ones));
        Self {
            above: _mm256_packus_epi16(above[0], above[1]),
            below: _mm256_packus_epi16(below[0], below[1]),
        }
    }

    /// The largest of all.
    #[target_feature(enable = "avx2,fma")]
    fn largest(self) -> u8 {
        let both = _mm256_max_epu8(self.above, self.below);
        let mut largest = _mm_max_epu8(_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both));
        largest = _mm_max_epu8(largest, _mm_srli_si128::<8>(largest));
        largest = _mm_max_epu8(largest, _mm_srli_si128::<4>(largest));
        largest = _mm_max_epu8(largest, _mm_srli_si128::<2>(largest));
        largest = _mm_max_epu8(largest, _mm_srli_si128::<1>(largest));
        _mm_cvtsi128_si32(largest).to_le_bytes()[0]
    }

    #[target_feature(enable = "avx2,fma")]
    fn fits(self, other: Self, limit: u8) -> bool {
        let above = _mm256_adds_epu8(self.above, other.above);
        let below = _mm256_adds_epu8(self.below, other.below);
        let over = _mm256_subs_epu8(_mm256_max_epu8(above, below), _mm256_set1_epi8(limit.cast_signed()));
        _mm256_testz_si256(over, over) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_quad_is_there_once_and_no_pair_leaves_sixteen_bits(
            weights in proptest::collection::vec(proptest::array::uniform32(-90i8..90), 1..40),
            most in 129u8..=255
        ) {
            if crate::Instructions::detect().is_none() {
                return Ok(());
            }
            let quads: Vec<Quad> = weights.iter().map(|half| Quad(std::array::from_fn(|i| half[i % 32]))).collect();
            // SAFETY: the processor has AVX2.
            let pairs = unsafe { pair_up(&quads, most) };
            let mut seen: Vec<usize> = pairs.iter().flat_map(|(a, b)| [Some(*a), *b]).flatten().collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..quads.len()).collect::<Vec<_>>());
            for (first, second) in pairs.iter().filter_map(|(a, b)| b.map(|b| (&quads[*a].0, &quads[b].0))) {
                for lane in 0..32 {
                    let four = [first[2 * lane], first[2 * lane + 1], second[2 * lane], second[2 * lane + 1]];
                    let sum = |sign: i32| four.iter().map(|w| (i32::from(*w) * sign).max(0)).sum::<i32>();
                    prop_assert!(sum(1).max(sum(-1)) * i32::from(most) <= i32::from(i16::MAX));
                }
            }
        }
    }
}
