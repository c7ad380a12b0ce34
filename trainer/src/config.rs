//! The shape of a BERT, read from config.json and checked once.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use modloop_domain::Label;

use crate::TrainError;

/// Sizes and rates of a BertModel, named as in Hugging Face's config.json.
#[derive(Debug, Clone, Deserialize)]
pub struct BertConfig {
    /// Must be `bert`.
    pub model_type: String,
    /// Width of the model.
    pub hidden_size: i64,
    /// Transformer layers.
    pub num_hidden_layers: usize,
    /// Heads of attention; must divide the width.
    pub num_attention_heads: i64,
    /// Width inside the feed-forward part.
    pub intermediate_size: i64,
    /// Rows of the word embedding.
    pub vocab_size: i64,
    /// Longest sequence, in tokens.
    pub max_position_embeddings: i64,
    /// Rows of the segment embedding; only the first is used.
    pub type_vocab_size: i64,
    /// Added to the variance inside layer normalisation.
    pub layer_norm_eps: f64,
    /// Must be `gelu`.
    pub hidden_act: String,
    /// Must be `absolute` where it is given.
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
    /// Share of hidden units dropped while training.
    #[serde(default = "one_tenth")]
    pub hidden_dropout_prob: f64,
    /// Share of attention weights dropped while training.
    #[serde(default = "one_tenth")]
    pub attention_probs_dropout_prob: f64,
}

fn absolute() -> String {
    "absolute".to_owned()
}

fn one_tenth() -> f64 {
    0.1
}

impl BertConfig {
    /// Reads and checks config.json; also returns it whole, for the checkpoint that comes out.
    pub fn read(path: &Path) -> Result<(Self, Value), TrainError> {
        let bytes = std::fs::read(path).map_err(TrainError::io("read", path))?;
        let whole: Value = serde_json::from_slice(&bytes).map_err(TrainError::base(path))?;
        // The kind comes first: another architecture should be called that, not "missing field".
        let kind = whole.get("model_type").and_then(Value::as_str).unwrap_or("nothing");
        if kind != "bert" {
            return Err(TrainError::base(path)(format!("model_type is {kind}; only bert can be trained")));
        }
        let config = Self::deserialize(&whole).map_err(TrainError::base(path))?;
        config.check().map_err(TrainError::base(path))?;
        Ok((config, whole))
    }

    /// The same shape with another share dropped while training.
    pub fn with_dropout(self, share: f64) -> Self {
        Self { hidden_dropout_prob: share, attention_probs_dropout_prob: share, ..self }
    }

    fn check(&self) -> Result<(), String> {
        if self.hidden_act != "gelu" {
            return Err(format!("hidden_act is {}; only gelu is known", self.hidden_act));
        }
        if self.position_embedding_type != "absolute" {
            return Err(format!(
                "position_embedding_type is {}; only absolute is known",
                self.position_embedding_type
            ));
        }
        let sizes = [
            self.hidden_size,
            self.num_attention_heads,
            self.intermediate_size,
            self.vocab_size,
            self.max_position_embeddings,
            self.type_vocab_size,
        ];
        if sizes.iter().any(|&s| s < 1) || self.hidden_size % self.num_attention_heads != 0 {
            return Err("sizes must be positive and num_attention_heads must divide hidden_size".to_owned());
        }
        Ok(())
    }
}

/// config.json of a fine-tuned checkpoint: the base model's, with the labels of the new head.
pub fn with_labels(base: &Value, labels: &[Label]) -> Value {
    let mut config = base.clone();
    if let Some(fields) = config.as_object_mut() {
        fields.shift_remove("_name_or_path");
        let id2label: serde_json::Map<_, _> =
            labels.iter().enumerate().map(|(i, l)| (i.to_string(), json!(l))).collect();
        let label2id: serde_json::Map<_, _> =
            labels.iter().enumerate().map(|(i, l)| (l.to_string(), json!(i))).collect();
        fields.insert("id2label".to_owned(), id2label.into());
        fields.insert("label2id".to_owned(), label2id.into());
        fields.insert("problem_type".to_owned(), json!("multi_label_classification"));
        fields.insert("classifier_pooling".to_owned(), json!("mean"));
    }
    config
}
