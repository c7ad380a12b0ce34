use std::path::Path;

use modloop_bundle::Windowing;
use tokenizers::Tokenizer;

use crate::{LoadError, ScoreError, Windows, windows};

/// Splits texts into the windows a BERT takes.
pub(crate) struct WindowedTokenizer {
    tokenizer: Tokenizer,
    begin: u32,
    end: u32,
    unknown: u32,
    windowing: Windowing,
}

/// A text as the model sees it.
pub(crate) struct TokenisedText {
    /// One `[CLS] … [SEP]` a window.
    pub(crate) windows: Vec<Vec<i64>>,
    pub(crate) tokens: u32,
    pub(crate) unknown_tokens: u32,
    pub(crate) truncated: bool,
}

impl WindowedTokenizer {
    pub(crate) fn load(path: &Path, windowing: Windowing) -> Result<Self, LoadError> {
        let refuse = |reason: String| LoadError::Tokenizer { path: path.to_owned(), reason };
        let mut tokenizer = Tokenizer::from_file(path).map_err(|e| refuse(e.to_string()))?;
        // Files often carry the padding and truncation of their first use; windows replace both.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| refuse(e.to_string()))?;
        // A text that says "[SEP]" means the five characters.
        tokenizer.set_encode_special_tokens(true);
        let id = |token: &str| {
            tokenizer.token_to_id(token).ok_or_else(|| refuse(format!("it has no token {token}")))
        };
        let (begin, end, unknown) = (id("[CLS]")?, id("[SEP]")?, id("[UNK]")?);
        Ok(Self { tokenizer, begin, end, unknown, windowing })
    }

    pub(crate) fn split(&self, text: &str) -> Result<TokenisedText, ScoreError> {
        let encoding = self.tokenizer.encode_fast(text, false);
        let encoding = encoding.map_err(|e| ScoreError::Tokenizer(e.to_string()))?;
        let ids = encoding.get_ids();
        let Windows { ranges, truncated } = windows(ids.len(), self.windowing);
        let windows = ranges.into_iter().map(|range| self.window(&ids[range])).collect();
        let unknown = ids.iter().filter(|id| **id == self.unknown).count();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(TokenisedText { windows, tokens: count(ids.len()), unknown_tokens: count(unknown), truncated })
    }

    fn window(&self, ids: &[u32]) -> Vec<i64> {
        let ids = ids.iter().copied();
        std::iter::once(self.begin).chain(ids).chain([self.end]).map(i64::from).collect()
    }
}
