//! Which quads of weights may be added in sixteen bits.
//!
//! Quads fit together when no activation can lift the sum of their products out of sixteen bits. Any two
//! quads may meet, because the order of the inputs does not matter to a sum of integers, so nearly all of
//! them find a partner.

use super::{PANEL, Quad};

/// Sums of sixteen bits that a quad gives: two for each output channel.
const LANES: usize = 2 * PANEL;

/// A quad and its partner, by their places in the block; one may be left without.
pub(super) type Pair = (usize, Option<usize>);

/// Pairs up the quads of a block, whose activations are `most` at most. The largest quads choose first, as
/// the fewest others fit them.
#[target_feature(enable = "avx2,fma")]
pub(super) fn pair_up(quads: &[Quad], most: u8) -> Vec<Pair> {
    let limit = u8::try_from(i16::MAX / i16::from(most.max(1))).unwrap_or(u8::MAX - 1).min(u8::MAX - 1);
    let mut left: Vec<(Reach, usize)> =
        quads.iter().enumerate().map(|(place, quad)| (Reach::of(quad), place)).collect();
    left.sort_by_key(|(reach, _)| reach.largest());
    let mut pairs = Vec::with_capacity(quads.len());
    while let Some((reach, place)) = left.pop() {
        let partner = left.iter().rposition(|(other, _)| reach.fits(other, limit));
        pairs.push((place, partner.map(|partner| left.remove(partner).1)));
    }
    pairs
}

/// How far the two neighbours of each lane reach for an activation of one: the sum of those above zero and
/// of those below. A sum over 255 counts as 255, which fits nothing.
struct Reach {
    above: [u8; LANES],
    below: [u8; LANES],
}

impl Reach {
    #[target_feature(enable = "avx2,fma")]
    fn of(quad: &Quad) -> Self {
        let mut reach = Self { above: [0; LANES], below: [0; LANES] };
        for (lane, [a, b]) in quad.0.as_chunks::<2>().0.iter().enumerate() {
            reach.above[lane] = a.max(&0).unsigned_abs().saturating_add(b.max(&0).unsigned_abs());
            reach.below[lane] = a.min(&0).unsigned_abs().saturating_add(b.min(&0).unsigned_abs());
        }
        reach
    }

    fn largest(&self) -> u8 {
        self.above.iter().chain(&self.below).copied().max().unwrap_or_default()
    }

    #[target_feature(enable = "avx2,fma")]
    fn fits(&self, other: &Self, limit: u8) -> bool {
        let mut largest = 0;
        for lane in 0..LANES {
            let above = self.above[lane].saturating_add(other.above[lane]);
            let below = self.below[lane].saturating_add(other.below[lane]);
            largest = above.max(below).max(largest);
        }
        largest <= limit
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
            if super::super::Instructions::detect().is_none() {
                return Ok(());
            }
            let quads: Vec<Quad> = weights.iter().map(|half| Quad(std::array::from_fn(|i| half[i % 32]))).collect();
            // SAFETY: the processor has AVX2.
            let pairs = unsafe { pair_up(&quads, most) };
            let mut seen: Vec<usize> = pairs.iter().flat_map(|(a, b)| [Some(*a), *b]).flatten().collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..quads.len()).collect::<Vec<_>>());
            for (first, second) in pairs.iter().filter_map(|(a, b)| b.map(|b| (&quads[*a].0, &quads[b].0))) {
                for lane in 0..LANES {
                    let four = [first[2 * lane], first[2 * lane + 1], second[2 * lane], second[2 * lane + 1]];
                    let sum = |sign: i32| four.iter().map(|w| (i32::from(*w) * sign).max(0)).sum::<i32>();
                    prop_assert!(sum(1).max(sum(-1)) * i32::from(most) <= i32::from(i16::MAX));
                }
            }
        }
    }
}
