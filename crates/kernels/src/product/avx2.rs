//! AVX2 without VNNI: multiplying bytes and widening the products take an instruction each, so two quads of
//! inputs are added before they are widened, wherever that is exact.

use std::arch::asm;
use std::arch::x86_64::*;
use std::iter::zip;

use super::pairing::pair_up;
use super::{Block, DEPTH, Quad};
use crate::quantised::TILE;

/// A weight's quads in pairs, which lie in the order in which they are read.
pub(super) struct PairedQuads {
    weights: Vec<[Quad; 2]>,
    /// Where a tile has the activations of each.
    places: Vec<[u16; 2]>,
    /// Where the pairs of each block end, panel by panel.
    ends: Vec<usize>,
    blocks: usize,
}

impl PairedQuads {
    /// Pairs up `quads`, panel by panel, for activations of `most` at most.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn new(quads: &[Quad], panels: usize, most: u8) -> Self {
        let inner = quads.len() / panels;
        let blocks = inner.div_ceil(DEPTH);
        let mut paired = Self { weights: Vec::new(), places: Vec::new(), ends: Vec::new(), blocks };
        paired.weights.reserve(quads.len() / 2 + panels * blocks);
        paired.places.reserve(quads.len() / 2 + panels * blocks);
        for panel in quads.chunks_exact(inner) {
            for (block, quads) in panel.chunks(DEPTH).enumerate() {
                let place = |quad: usize| ((block * DEPTH + quad) * TILE) as u16;
                for (first, second) in pair_up(quads, most) {
                    // One without partner is paired with nothing, times any activations.
                    let partner = second.map_or(Quad::NOTHING, |second| quads[second]);
                    paired.weights.push([quads[first], partner]);
                    paired.places.push([place(first), place(second.unwrap_or(first))]);
                }
                paired.ends.push(paired.weights.len());
            }
        }
        paired
    }

    fn block(&self, panel: usize, block: &Block) -> std::ops::Range<usize> {
        let index = panel * self.blocks + block.index();
        let first = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        first..self.ends[index]
    }

    /// The weights of one block.
    #[inline]
    pub(super) fn weights(&self, panel: usize, block: &Block) -> &[Quad] {
        self.weights[self.block(panel, block)].as_flattened()
    }

    /// One tile of rows by one panel, over one block of the inputs.
    ///
    /// # Safety
    /// The processor has AVX2, and `tile` is of rows as wide as the weight.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    pub(super) unsafe fn multiply(
        &self,
        tile: *const i32,
        panel: usize,
        block: &Block,
    ) -> [[__m256i; 2]; TILE] {
        let ones = _mm256_set1_epi16(1);
        let mut sums = [[_mm256_setzero_si256(); 2]; TILE];
        let pairs = self.block(panel, block);
        for (weights, [first, second]) in zip(&self.weights[pairs.clone()], &self.places[pairs]) {
            let weights = weights.as_ptr().cast();
            // SAFETY: the caller's, and a pair has 128 bytes.
            unsafe {
                let (first, second) = (tile.add(usize::from(*first)), tile.add(usize::from(*second)));
                // By index: iterators over registers are not always taken apart by the compiler.
                for row in 0..TILE {
                    let a = _mm256_set1_epi32(*first.add(row));
                    let b = _mm256_set1_epi32(*second.add(row));
                    let low = _mm256_add_epi16(products::<0>(a, weights), products::<64>(b, weights));
                    let high = _mm256_add_epi16(products::<32>(a, weights), products::<96>(b, weights));
                    sums[row][0] = _mm256_add_epi32(sums[row][0], _mm256_madd_epi16(low, ones));
                    sums[row][1] = _mm256_add_epi32(sums[row][1], _mm256_madd_epi16(high, ones));
                }
            }
        }
        sums
    }
}

/// Bytes by weights in memory, neighbours added. Spelt out, because the compiler takes weights that are used
/// five times to registers, of which a tile leaves too few.
///
/// # Safety
/// The processor has AVX2, and 32 bytes can be read `AT` bytes behind `weights`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn products<const AT: usize>(bytes: __m256i, weights: *const i8) -> __m256i {
    let products;
    // SAFETY: the caller's. It only reads.
    unsafe {
        asm!(
            "vpmaddubsw {products}, {bytes}, [{weights} + {at}]",
            products = lateout(ymm_reg) products,
            bytes = in(ymm_reg) bytes,
            weights = in(reg) weights,
            at = const AT,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    products
}
