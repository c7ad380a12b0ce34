//! A tiny BERT with random weights, for tests. Never shipped, never served.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use modloop_domain::{Decision, Label, Probability, Thresholds};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Map, Value, json};

use crate::{
    BaseModel, Baseline, Bundle, Calibration, Checkpoint, Chunk, GRID, ManifestParts, Precision, Windowing,
    export, files, write,
};

/// Width of the tiny BERT.
pub const HIDDEN: usize = 32;
/// Width inside its feed-forward parts.
pub const INTERMEDIATE: usize = 48;
/// Its blocks.
pub const LAYERS: usize = 2;
/// Its heads.
pub const HEADS: usize = 2;
/// The longest window it takes.
pub const POSITIONS: usize = 160;

/// Words the tiny tokenizer knows besides single letters and digits.
const WORDS: [&str; 12] =
    ["the", "you", "are", "cat", "dog", "good", "bad", "hello", "world", "hate", "love", "##ing"];

/// The labels of [`bundle`].
pub fn labels() -> Vec<Label> {
    ["hate", "offensive"].map(|label| label.parse().expect("a label")).to_vec()
}

/// Writes `config.json`, `model.safetensors` and `tokenizer.json` of a random BERT with a head for
/// `labels` labels. The same seed gives the same weights.
pub fn checkpoint(dir: &Path, labels: usize, seed: u64) {
    fs::create_dir_all(dir).expect("a folder for the checkpoint");
    let vocabulary = vocabulary();
    let config = json!({
        "model_type": "bert", "vocab_size": vocabulary.len(), "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": INTERMEDIATE,
        "hidden_act": "gelu", "max_position_embeddings": POSITIONS, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    });
    fs::write(dir.join(files::CONFIG), config.to_string()).expect("config.json is written");
    fs::write(dir.join(files::TOKENIZER), tokenizer(&vocabulary).to_string()).expect("tokenizer is written");
    fs::write(dir.join(files::WEIGHTS), weights(vocabulary.len(), labels, seed))
        .expect("weights are written");
}

/// Writes a whole bundle around [`checkpoint`] and opens it.
pub fn bundle(out: &Path, version: &str, seed: u64) -> Bundle {
    let work = tempfile::tempdir().expect("a temporary folder");
    let labels = labels();
    checkpoint(work.path(), labels.len(), seed);
    let opened = Checkpoint::open(work.path()).expect("the tiny checkpoint opens");
    let model = work.path().join(files::MODEL);
    fs::write(&model, export(&opened, Precision::Int8).expect("it exports")).expect("the graph is written");
    let parts = parts(version, &labels);
    let sources = [files::MODEL, files::TOKENIZER, files::CONFIG].map(|name| (name, work.path().join(name)));
    write(out, parts, &sources).expect("the tiny bundle is whole")
}

/// A manifest with a one-text baseline and no calibration to speak of.
pub fn parts(version: &str, labels: &[Label]) -> ManifestParts {
    let half = Probability::new(0.5).expect("a probability");
    let most = Probability::new(0.95).expect("a probability");
    let mut chunk = Chunk::new(labels);
    chunk.record(labels.iter().map(|label| (label, half)), 1.0, Decision::Review, 12, 1);
    ManifestParts {
        version: version.parse().expect("a version"),
        labels: labels.to_vec(),
        windowing: Windowing::default(),
        calibration: labels.iter().map(|l| (l.clone(), Calibration::IDENTITY)).collect(),
        thresholds: Thresholds::new(half, most).expect("in order"),
        metrics: json!({}),
        baseline: Baseline { grid: GRID, chunks: vec![chunk] },
        base_model: BaseModel { name: "tiny".into(), licence: "none".into(), sha256: "0".repeat(64) },
        data_sources: Vec::new(),
    }
}

fn vocabulary() -> Vec<String> {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
    let single = ('a'..='z').chain('0'..='9').chain("!?.,'".chars());
    let letters = single.flat_map(|c| [c.to_string(), format!("##{c}")]);
    special.into_iter().chain(letters).chain(WORDS.map(str::to_owned)).collect()
}

fn tokenizer(vocabulary: &[String]) -> Value {
    let ids: Map<_, _> = vocabulary.iter().enumerate().map(|(id, word)| (word.clone(), json!(id))).collect();
    let added: Vec<Value> = vocabulary[..5].iter().enumerate().map(|(id, word)| added(id, word)).collect();
    let special = |word: &str| json!({"id": word, "ids": [ids[word]], "tokens": [word]});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": special("[CLS]"), "[SEP]": special("[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": ids,
        },
    })
}

fn added(id: usize, word: &str) -> Value {
    json!({
        "id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true,
    })
}

/// Random tensors under the names Hugging Face gives them.
fn weights(words: usize, labels: usize, seed: u64) -> Vec<u8> {
    let mut random = SplitMix64(seed);
    let mut tensors = BTreeMap::new();
    for (name, shape) in shapes(words, labels) {
        let size: usize = shape.iter().product();
        // Norms scale by about one; everything else is small and centred.
        let centre = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
        let values = (0..size).flat_map(|_| (centre + random.between(-0.5, 0.5)).to_le_bytes());
        tensors.insert(name, (shape, values.collect::<Vec<u8>>()));
    }
    let views = tensors.iter().map(|(name, (shape, bytes))| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("bytes fit the shape"))
    });
    serialize(views, None).expect("tensors serialise")
}

fn shapes(words: usize, labels: usize) -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![words, HIDDEN]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![POSITIONS, HIDDEN]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, HIDDEN]),
        ("classifier.weight".to_owned(), vec![labels, HIDDEN]),
        ("classifier.bias".to_owned(), vec![labels]),
    ];
    let mut affine = |name: String, weight: Vec<usize>| {
        shapes.push((format!("{name}.bias"), vec![weight[0]]));
        shapes.push((format!("{name}.weight"), weight));
    };
    affine("embeddings.LayerNorm".to_owned(), vec![HIDDEN]);
    for layer in (0..LAYERS).map(|layer| format!("encoder.layer.{layer}")) {
        for part in ["query", "key", "value"] {
            affine(format!("{layer}.attention.self.{part}"), vec![HIDDEN, HIDDEN]);
        }
        affine(format!("{layer}.attention.output.dense"), vec![HIDDEN, HIDDEN]);
        affine(format!("{layer}.attention.output.LayerNorm"), vec![HIDDEN]);
        affine(format!("{layer}.intermediate.dense"), vec![INTERMEDIATE, HIDDEN]);
        affine(format!("{layer}.output.dense"), vec![HIDDEN, INTERMEDIATE]);
        affine(format!("{layer}.output.LayerNorm"), vec![HIDDEN]);
    }
    shapes
}

/// A generator small enough to need no crate (Steele, Lea and Flood 2014).
struct SplitMix64(u64);

impl SplitMix64 {
    fn between(&mut self, low: f32, high: f32) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let unit = ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32;
        low + unit * (high - low)
    }
}
