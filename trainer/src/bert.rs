//! BertModel with mean pooling and a linear multi-label head. Tensor names are Hugging Face's.

use tch::nn::{Init, Path, VarStore};
use tch::{Device, Kind, Tensor};

use crate::config::BertConfig;
use crate::optimizer::Group;

/// Standard deviation of fresh weights, as BERT was trained with.
const FRESH: Init = Init::Randn { mean: 0.0, stdev: 0.02 };

/// Whether dropout is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With dropout.
    Training,
    /// Without.
    Inference,
}

/// A text classifier: token ids in, one logit a label out.
#[derive(Debug)]
pub struct Classifier {
    store: VarStore,
    embeddings: Embeddings,
    layers: Vec<Layer>,
    head: Linear,
    hidden_dropout: f64,
}

impl Classifier {
    /// A classifier with fresh random weights; [`crate::weights`] fills in trained ones.
    pub fn new(config: &BertConfig, labels: usize, device: Device) -> Self {
        let store = VarStore::new(device);
        let root = store.root();
        let layers = &root / "encoder" / "layer";
        Self {
            embeddings: Embeddings::new(&(&root / "embeddings"), config),
            layers: (0..config.num_hidden_layers).map(|n| Layer::new(&(&layers / n), config)).collect(),
            head: Linear::new(&(&root / "classifier"), config.hidden_size, labels as i64, Group::HEAD),
            hidden_dropout: config.hidden_dropout_prob,
            store,
        }
    }

    /// The weights by name.
    pub fn store(&self) -> &VarStore {
        &self.store
    }

    /// Logits `[batch, labels]` of token ids `[batch, tokens]`; the mask is true where a token is real.
    pub fn forward(&self, input_ids: &Tensor, mask: &Tensor, mode: Mode) -> Tensor {
        let dropout = if mode == Mode::Training { self.hidden_dropout } else { 0.0 };
        let hidden = self.encode(input_ids, mask, mode);
        self.head.forward(&drop(&mean_over_tokens(&hidden, mask), dropout))
    }

    fn encode(&self, input_ids: &Tensor, mask: &Tensor, mode: Mode) -> Tensor {
        let dropout = if mode == Mode::Training { self.hidden_dropout } else { 0.0 };
        let attended = mask.unsqueeze(1).unsqueeze(1);
        let embedded = drop(&self.embeddings.forward(input_ids), dropout);
        self.layers.iter().fold(embedded, |hidden, layer| layer.forward(&hidden, &attended, dropout, mode))
    }
}

/// `[batch, tokens, width]` to `[batch, width]`: the mean over real tokens, special tokens included.
fn mean_over_tokens(hidden: &Tensor, mask: &Tensor) -> Tensor {
    let real = mask.unsqueeze(-1).to_kind(hidden.kind());
    let sum = (hidden * &real).sum_dim_intlist([1i64].as_slice(), false, None::<Kind>);
    sum / real.sum_dim_intlist([1i64].as_slice(), false, None::<Kind>)
}

fn drop(x: &Tensor, share: f64) -> Tensor {
    if share > 0.0 { x.dropout(share, true) } else { x.shallow_clone() }
}

#[derive(Debug)]
struct Embeddings {
    words: Tensor,
    positions: Tensor,
    segments: Tensor,
    norm: LayerNorm,
}

impl Embeddings {
    fn new(path: &Path, config: &BertConfig) -> Self {
        let table = |name: &str, rows| {
            (path / name).set_group(Group::ENCODER.decayed()).var(
                "weight",
                &[rows, config.hidden_size],
                FRESH,
            )
        };
        Self {
            words: table("word_embeddings", config.vocab_size),
            positions: table("position_embeddings", config.max_position_embeddings),
            segments: table("token_type_embeddings", config.type_vocab_size),
            norm: LayerNorm::new(&(path / "LayerNorm"), config),
        }
    }

    fn forward(&self, input_ids: &Tensor) -> Tensor {
        let tokens = input_ids.size()[1];
        let words = Tensor::embedding(&self.words, input_ids, -1, false, false);
        let sum = words + self.positions.narrow(0, 0, tokens) + self.segments.narrow(0, 0, 1);
        self.norm.forward(&sum)
    }
}

#[derive(Debug)]
struct Layer {
    attention: Attention,
    widen: Linear,
    narrow: Linear,
    norm: LayerNorm,
}

impl Layer {
    fn new(path: &Path, config: &BertConfig) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        Self {
            attention: Attention::new(&(path / "attention"), config),
            widen: Linear::new(&(path / "intermediate" / "dense"), width, inner, Group::ENCODER),
            narrow: Linear::new(&(path / "output" / "dense"), inner, width, Group::ENCODER),
            norm: LayerNorm::new(&(path / "output" / "LayerNorm"), config),
        }
    }

    fn forward(&self, hidden: &Tensor, attended: &Tensor, dropout: f64, mode: Mode) -> Tensor {
        let hidden = self.attention.forward(hidden, attended, dropout, mode);
        // "none" is the exact GELU with erf, as BERT was trained with.
        let inner = self.widen.forward(&hidden).gelu("none");
        self.norm.forward(&(drop(&self.narrow.forward(&inner), dropout) + hidden))
    }
}

#[derive(Debug)]
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    norm: LayerNorm,
    heads: i64,
    dropout: f64,
}

impl Attention {
    fn new(path: &Path, config: &BertConfig) -> Self {
        let width = config.hidden_size;
        let square = |path: Path| Linear::new(&path, width, width, Group::ENCODER);
        Self {
            query: square(path / "self" / "query"),
            key: square(path / "self" / "key"),
            value: square(path / "self" / "value"),
            output: square(path / "output" / "dense"),
            norm: LayerNorm::new(&(path / "output" / "LayerNorm"), config),
            heads: config.num_attention_heads,
            dropout: config.attention_probs_dropout_prob,
        }
    }

    fn forward(&self, hidden: &Tensor, attended: &Tensor, dropout: f64, mode: Mode) -> Tensor {
        let (batch, tokens, width) = hidden.size3().unwrap_or_default();
        let split = |x: Tensor| x.view([batch, tokens, self.heads, width / self.heads]).transpose(1, 2);
        let mixed = Tensor::scaled_dot_product_attention(
            &split(self.query.forward(hidden)),
            &split(self.key.forward(hidden)),
            &split(self.value.forward(hidden)),
            Some(attended),
            if mode == Mode::Training { self.dropout } else { 0.0 },
            false,
            None,
            false,
        );
        let joined = mixed.transpose(1, 2).reshape([batch, tokens, width]);
        self.norm.forward(&(drop(&self.output.forward(&joined), dropout) + hidden))
    }
}

#[derive(Debug)]
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn new(path: &Path, inputs: i64, outputs: i64, group: Group) -> Self {
        Self {
            weight: path.set_group(group.decayed()).var("weight", &[outputs, inputs], FRESH),
            bias: path.set_group(group.plain()).var("bias", &[outputs], Init::Const(0.0)),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, Some(&self.bias))
    }
}

#[derive(Debug)]
struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    fn new(path: &Path, config: &BertConfig) -> Self {
        let path = path.set_group(Group::ENCODER.plain());
        Self {
            weight: path.var("weight", &[config.hidden_size], Init::Const(1.0)),
            bias: path.var("bias", &[config.hidden_size], Init::Const(0.0)),
            eps: config.layer_norm_eps,
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.eps, true)
    }
}
