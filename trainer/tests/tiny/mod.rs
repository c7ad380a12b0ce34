//! A BERT of two layers, 32 wide, with a vocabulary of its own.

use std::path::Path;

use serde_json::{Value, json};
use tch::{Device, Tensor};

use modloop_trainer::bert::Classifier;
use modloop_trainer::config::BertConfig;

pub(crate) const WORDS: [&str; 12] = [
    "you",
    "are",
    "a",
    "kind",
    "nasty",
    "vile",
    "friend",
    "stranger",
    "neighbour",
    "today",
    "always",
    "never",
];

pub(crate) fn config_json() -> Value {
    json!({
        "_name_or_path": "tiny", "architectures": ["BertModel"], "model_type": "bert",
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
        "vocab_size": WORDS.len() + 4, "max_position_embeddings": 128, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    })
}

fn tokenizer_json() -> Value {
    let specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];
    let words = specials.iter().chain(WORDS.iter());
    let vocab: serde_json::Map<String, Value> =
        words.enumerate().map(|(id, word)| ((*word).to_owned(), json!(id))).collect();
    let added: Vec<Value> = specials
        .iter()
        .enumerate()
        .map(|(id, word)| {
            json!({"id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        })
        .collect();
    json!({
        "version": "1.0",
        // As published models often have it: both must be taken out again.
        "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": null,
                    "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                               "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocab},
    })
}

/// Writes a base model with random weights, each name led by `prefix`, without those that `keep` refuses.
pub(crate) fn write_base(dir: &Path, prefix: &str, keep: impl Fn(&str) -> bool) {
    let write = |name: &str, value: Value| std::fs::write(dir.join(name), value.to_string()).expect("a file");
    write("config.json", config_json());
    write("tokenizer.json", tokenizer_json());
    let (config, _) = BertConfig::read(&dir.join("config.json")).expect("a config");
    let model = Classifier::new(&config, 1, Device::Cpu);
    let tensors: Vec<(String, Tensor)> = model
        .store()
        .variables()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("classifier.") && keep(name))
        .map(|(name, tensor)| (format!("{prefix}{name}"), tensor.detach()))
        .collect();
    Tensor::write_safetensors(&tensors, dir.join("model.safetensors")).expect("weights");
}
