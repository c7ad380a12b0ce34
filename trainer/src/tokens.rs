//! Text to token ids, once, before training.

use std::path::Path;

use serde_json::Value;
use tokenizers::{Tokenizer, TruncationParams};

use crate::TrainError;
use crate::config::BertConfig;
use crate::data::Example;
use crate::symbols;

/// How many lines are tokenised at once: enough for all cores, little memory.
const LINES_AT_ONCE: usize = 4096;

/// A line ready for the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// Token ids, special tokens included.
    pub ids: Vec<i64>,
    /// One answer a label; `None` where the set says nothing.
    pub answers: Vec<Option<bool>>,
    /// Weight in the loss.
    pub weight: f32,
    /// The data set it comes from.
    pub source: String,
}

/// The tokenizer of the base model, and its file as it goes into the checkpoint.
#[derive(Debug)]
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    json: Value,
}

/// How emoji and fancy letters are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symbols {
    /// As the tokenizer.json says.
    AsTheyAre,
    /// By their names, see [`crate::symbols`].
    AsWords,
}

impl TextTokenizer {
    /// Loads tokenizer.json. Its own padding and truncation are taken out: both are the caller's business.
    pub fn read(
        path: &Path,
        config: &BertConfig,
        max_tokens: usize,
        symbols: Symbols,
    ) -> Result<Self, TrainError> {
        let bytes = std::fs::read(path).map_err(TrainError::io("read", path))?;
        let mut json: Value = serde_json::from_slice(&bytes).map_err(TrainError::base(path))?;
        for setting in ["truncation", "padding"] {
            if let Some(value) = json.get_mut(setting) {
                *value = Value::Null;
            }
        }
        if symbols == Symbols::AsWords {
            symbols::read_as_words(&mut json)?;
        }
        let mut tokenizer = Tokenizer::from_bytes(json.to_string()).map_err(TrainError::base(path))?;
        let words = tokenizer.get_vocab_size(true) as i64;
        if words > config.vocab_size {
            let problem = format!("has {words} words, but config.json says vocab_size {}", config.vocab_size);
            return Err(TrainError::base(path)(problem));
        }
        if !(3..=config.max_position_embeddings as usize).contains(&max_tokens) {
            let most = config.max_position_embeddings;
            return Err(TrainError::Mix(format!(
                "--max-tokens is {max_tokens}; this model takes 3 to {most}"
            )));
        }
        let cut = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(cut)).map_err(TrainError::base(path))?;
        Ok(Self { tokenizer, json })
    }

    /// tokenizer.json without padding and truncation.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Tokenises all lines, on all cores.
    pub fn encode(&self, examples: &[Example]) -> Result<Vec<Encoded>, TrainError> {
        let mut encoded = Vec::with_capacity(examples.len());
        for some in examples.chunks(LINES_AT_ONCE) {
            let texts: Vec<&str> = some.iter().map(|e| e.text.as_str()).collect();
            let encodings = self
                .tokenizer
                .encode_batch_fast(texts, true)
                .map_err(|e| TrainError::Mix(format!("the tokenizer refused a line: {e}")))?;
            encoded.extend(some.iter().zip(encodings).map(|(example, encoding)| Encoded {
                ids: encoding.get_ids().iter().map(|&id| i64::from(id)).collect(),
                answers: example.answers.clone(),
                weight: example.weight,
                source: example.source.clone(),
            }));
        }
        Ok(encoded)
    }
}
