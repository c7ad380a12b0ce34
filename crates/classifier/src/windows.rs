use std::ops::Range;

use modloop_bundle::Windowing;

/// How one text is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// Ranges of the text's tokens, in order; never empty, though the only window may be.
    pub ranges: Vec<Range<usize>>,
    /// Whether tokens lie behind the last window.
    pub truncated: bool,
}

/// Cuts a text of `tokens` tokens (special ones not counted) into windows.
///
/// Every window but the last is full, and each begins exactly `overlap` tokens before the end of the one
/// before. A text of no tokens is one empty window: `[CLS] [SEP]` has a score too.
pub fn windows(tokens: usize, windowing: Windowing) -> Windows {
    let full = windowing.tokens() - 2;
    let step = full - windowing.overlap();
    let needed = 1 + tokens.saturating_sub(full).div_ceil(step);
    let made = needed.min(windowing.limit());
    let ranges = (0..made).map(|i| i * step..(i * step + full).min(tokens)).collect();
    Windows { ranges, truncated: made < needed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn windowing(tokens: usize, overlap: usize, limit: usize) -> Windowing {
        Windowing::new(tokens, overlap, limit).expect("a usable windowing")
    }

    #[test]
    fn a_short_text_is_one_window() {
        for tokens in [0, 1, 126] {
            let cut = windows(tokens, Windowing::default());
            assert_eq!(cut, Windows { ranges: vec![0..tokens; 1], truncated: false });
        }
        assert_eq!(windows(127, Windowing::default()).ranges, [0..126, 94..127]);
    }

    proptest! {
        #[test]
        fn windows_cover_a_text_with_exact_overlap_up_to_the_limit(
            tokens in 0usize..5000, window in 3usize..200, overlap in 0usize..200, limit in 1usize..40
        ) {
            let overlap = overlap % (window - 2);
            let cut = windows(tokens, windowing(window, overlap, limit));
            let ranges = &cut.ranges;

            prop_assert!((1..=limit).contains(&ranges.len()));
            prop_assert_eq!(ranges[0].start, 0);
            for range in ranges {
                prop_assert!(range.len() <= window - 2 && range.end <= tokens);
            }
            for pair in ranges.windows(2) {
                prop_assert_eq!(pair[0].len(), window - 2);
                prop_assert_eq!(pair[0].end - pair[1].start, overlap);
                prop_assert!(pair[1].end > pair[0].end, "a window adds nothing");
            }
            let end = ranges[ranges.len() - 1].end;
            prop_assert_eq!(cut.truncated, end < tokens);
            prop_assert!(!cut.truncated || ranges.len() == limit);
        }
    }
}
