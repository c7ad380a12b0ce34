//! AVX-512 with VNNI: one instruction multiplies four bytes a channel and adds them to a sum.

use std::arch::x86_64::*;

use super::{Block, Quad};
use crate::quantised::TILE;

/// One tile of rows by as many panels as there are, each `inner` quads long, over one block of the inputs.
///
/// # Safety
/// The processor has AVX-512 with VNNI, and `tile` is of rows as wide as the panels.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
#[inline]
pub(super) unsafe fn multiply<const PANELS: usize>(
    tile: *const i32,
    panels: &[Quad],
    inner: usize,
    block: &Block,
) -> [[__m512i; PANELS]; TILE] {
    let mut sums = [[_mm512_setzero_si512(); PANELS]; TILE];
    let panels: [&[Quad]; PANELS] = std::array::from_fn(|panel| &panels[panel * inner..][..inner]);
    for quad in block.quads.clone() {
        // SAFETY: the caller's.
        unsafe {
            let mut weights = [_mm512_setzero_si512(); PANELS];
            for panel in 0..PANELS {
                weights[panel] = _mm512_load_si512(panels[panel].as_ptr().add(quad).cast());
            }
            for row in 0..TILE {
                let four = _mm512_set1_epi32(*tile.add(quad * TILE + row));
                for panel in 0..PANELS {
                    sums[row][panel] = _mm512_dpbusd_epi32(sums[row][panel], four, weights[panel]);
                }
            }
        }
    }
    sums
}
