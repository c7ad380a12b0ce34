//! BertModel with mean pooling and a linear multi-label head. Tensor names are Hugging Face's.

use tch::nn::{Init, Path, VarStore};
use tch::{Device, Kind, TchError, Tensor};

use crate::config::BertConfig;

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
    training: Pass,
}

/// How one forward pass is computed.
#[derive(Debug, Clone, Copy)]
struct Pass {
    /// Share of hidden units dropped.
    dropout: f64,
    /// Share of attention weights dropped.
    attention_dropout: f64,
    /// Numbers of matrix products and attention. Sums between layers and norms are always 32 bits wide, as with
    /// torch's autocast.
    products: Kind,
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
            head: Linear::new(&(&root / "classifier"), config.hidden_size, labels as i64),
            training: Pass {
                dropout: config.hidden_dropout_prob,
                attention_dropout: config.attention_probs_dropout_prob,
                products: Kind::Float,
            },
            store,
        }
    }

    /// Computes matrix products with other numbers: [`Kind::Float`] or [`Kind::BFloat16`].
    #[must_use]
    pub fn with_products(mut self, kind: Kind) -> Self {
        self.training.products = kind;
        self
    }

    /// The weights by name.
    pub fn store(&self) -> &VarStore {
        &self.store
    }

    /// Logits `[batch, labels]` of token ids `[batch, tokens]`; the mask is true where a token is real.
    pub fn forward(&self, input_ids: &Tensor, mask: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let pass = match mode {
            Mode::Training => self.training,
            Mode::Inference => Pass { dropout: 0.0, attention_dropout: 0.0, ..self.training },
        };
        let hidden = self.encode(input_ids, mask, pass)?;
        let pooled = drop(mean_over_tokens(&hidden, mask)?, pass.dropout)?;
        self.head.forward(&pooled, Kind::Float)
    }

    fn encode(&self, input_ids: &Tensor, mask: &Tensor, pass: Pass) -> Result<Tensor, TchError> {
        let attended = mask.f_unsqueeze(1)?.f_unsqueeze(1)?;
        let embedded = drop(self.embeddings.forward(input_ids)?, pass.dropout)?;
        self.layers.iter().try_fold(embedded, |hidden, layer| layer.forward(&hidden, &attended, pass))
    }
}

/// `[batch, tokens, width]` to `[batch, width]`: the mean over real tokens, special tokens included.
fn mean_over_tokens(hidden: &Tensor, mask: &Tensor) -> Result<Tensor, TchError> {
    let real = mask.f_unsqueeze(-1)?.f_to_kind(hidden.kind())?;
    let over_tokens = |x: &Tensor| x.f_sum_dim_intlist([1i64].as_slice(), false, None::<Kind>);
    over_tokens(&hidden.f_mul(&real)?)?.f_div(&over_tokens(&real)?)
}

fn drop(x: Tensor, share: f64) -> Result<Tensor, TchError> {
    if share > 0.0 { x.f_dropout(share, true) } else { Ok(x) }
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
        let table = |name: &str, rows| (path / name).var("weight", &[rows, config.hidden_size], FRESH);
        Self {
            words: table("word_embeddings", config.vocab_size),
            positions: table("position_embeddings", config.max_position_embeddings),
            segments: table("token_type_embeddings", config.type_vocab_size),
            norm: LayerNorm::new(&(path / "LayerNorm"), config),
        }
    }

    fn forward(&self, input_ids: &Tensor) -> Result<Tensor, TchError> {
        let tokens = input_ids.size()[1];
        let words = Tensor::f_embedding(&self.words, input_ids, -1, false, false)?;
        let placed = words.f_add(&self.positions.f_narrow(0, 0, tokens)?)?;
        self.norm.forward(&placed.f_add(&self.segments.f_narrow(0, 0, 1)?)?)
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
            widen: Linear::new(&(path / "intermediate" / "dense"), width, inner),
            narrow: Linear::new(&(path / "output" / "dense"), inner, width),
            norm: LayerNorm::new(&(path / "output" / "LayerNorm"), config),
        }
    }

    fn forward(&self, hidden: &Tensor, attended: &Tensor, pass: Pass) -> Result<Tensor, TchError> {
        let hidden = self.attention.forward(hidden, attended, pass)?;
        // "none" is the exact GELU with erf, as BERT was trained with.
        let inner = self.widen.forward(&hidden, pass.products)?.f_gelu("none")?;
        let added = drop(self.narrow.forward(&inner, pass.products)?, pass.dropout)?;
        self.norm.forward(&added.f_add(&hidden)?)
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
}

impl Attention {
    fn new(path: &Path, config: &BertConfig) -> Self {
        let width = config.hidden_size;
        let square = |path: Path| Linear::new(&path, width, width);
        Self {
            query: square(path / "self" / "query"),
            key: square(path / "self" / "key"),
            value: square(path / "self" / "value"),
            output: square(path / "output" / "dense"),
            norm: LayerNorm::new(&(path / "output" / "LayerNorm"), config),
            heads: config.num_attention_heads,
        }
    }

    fn forward(&self, hidden: &Tensor, attended: &Tensor, pass: Pass) -> Result<Tensor, TchError> {
        let (batch, tokens, width) = hidden.size3()?;
        let split = |linear: &Linear| {
            let x = linear.forward(hidden, pass.products)?;
            x.f_view([batch, tokens, self.heads, width / self.heads])?.f_transpose(1, 2)
        };
        let mixed = Tensor::f_scaled_dot_product_attention(
            &split(&self.query)?,
            &split(&self.key)?,
            &split(&self.value)?,
            Some(attended),
            pass.attention_dropout,
            false,
            None,
            false,
        )?;
        let joined = mixed.f_transpose(1, 2)?.f_reshape([batch, tokens, width])?;
        let added = drop(self.output.forward(&joined, pass.products)?, pass.dropout)?;
        self.norm.forward(&added.f_add(hidden)?)
    }
}

#[derive(Debug)]
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn new(path: &Path, inputs: i64, outputs: i64) -> Self {
        Self {
            weight: path.var("weight", &[outputs, inputs], FRESH),
            bias: path.var("bias", &[outputs], Init::Const(0.0)),
        }
    }

    /// The product comes out in `kind`; what is of that kind already is not copied.
    fn forward(&self, x: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
        let bias = self.bias.f_to_kind(kind)?;
        x.f_to_kind(kind)?.f_linear(&self.weight.f_to_kind(kind)?, Some(&bias))
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
        Self {
            weight: path.var("weight", &[config.hidden_size], Init::Const(1.0)),
            bias: path.var("bias", &[config.hidden_size], Init::Const(0.0)),
            eps: config.layer_norm_eps,
        }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.eps, true)
    }
}
