//! From the constants of a graph to packed weights.

use std::path::Path;

use modloop_bundle::{BundleError, GraphConstants};

use super::product::{Instructions, PackedLinear};
use super::{Bert, Embeddings, Head, Layer, Norm};

/// The zero point of unsigned weights.
const ZERO_POINT: u8 = 128;
/// Heads and layers are computed sixteen columns at a time.
const COLUMNS: usize = 16;

impl Bert {
    /// Takes the weights of an int8 graph that this project exported, for instructions that this processor
    /// has. `None` when the processor lacks them, or the graph is another one: fp32, or of sizes that the
    /// kernels do not take.
    pub fn load(graph: &Path, instructions: Instructions) -> Option<Self> {
        if !Instructions::available().contains(&instructions) {
            return None;
        }
        let constants = GraphConstants::open(graph).ok()?;
        Reader { constants, instructions }.bert().ok().flatten()
    }
}

struct Reader {
    constants: GraphConstants,
    instructions: Instructions,
}

impl Reader {
    fn bert(&self) -> Result<Option<Bert>, BundleError> {
        let heads = usize::try_from(self.constants.integer("QAttention", "num_heads")?).unwrap_or_default();
        let embeddings = self.embeddings()?;
        let hidden = embeddings.norm.gamma.len();
        if heads == 0 || !hidden.is_multiple_of(COLUMNS * heads) {
            return Ok(None);
        }
        let layers: Option<Vec<_>> = self.layers()?.into_iter().collect();
        let epsilon = self.constants.float("LayerNormalization", "epsilon")?;
        let head = self.head(hidden)?;
        Ok(layers.map(|layers| Bert { hidden, heads, epsilon, embeddings, layers, head }))
    }

    fn embeddings(&self) -> Result<Embeddings, BundleError> {
        let name = "embeddings.word_embeddings";
        let shape = self.constants.shape(&format!("{name}.weight"))?;
        let positions = "embeddings.position_embeddings";
        Ok(Embeddings {
            words: self.constants.signed_bytes(&format!("{name}.weight"), &shape)?,
            scales: self.constants.floats(&format!("{name}.scale"), &[shape[0], 1])?,
            positions: self.constants.floats(positions, &self.constants.shape(positions)?)?,
            norm: self.norm("embeddings.LayerNorm")?,
        })
    }

    fn layers(&self) -> Result<Vec<Option<Layer>>, BundleError> {
        let names = (0..).map(|layer| format!("encoder.layer.{layer}"));
        let there = |name: &String| self.constants.shape(&format!("{name}.attention.self.weight")).is_ok();
        names.take_while(there).map(|name| self.layer(&name)).collect()
    }

    fn layer(&self, name: &str) -> Result<Option<Layer>, BundleError> {
        let linear = |part: &str| self.linear(&format!("{name}.{part}"));
        let (joined, output) = (linear("attention.self")?, linear("attention.output.dense")?);
        let (widen, narrow) = (linear("intermediate.dense")?, linear("output.dense")?);
        let attention_norm = self.norm(&format!("{name}.attention.output.LayerNorm"))?;
        let output_norm = self.norm(&format!("{name}.output.LayerNorm"))?;
        Ok((|| {
            Some(Layer {
                query_key_value: joined?,
                attention_output: output?,
                attention_norm,
                widen: widen?,
                narrow: narrow?,
                output_norm,
            })
        })())
    }

    fn linear(&self, name: &str) -> Result<Option<PackedLinear>, BundleError> {
        let weight = format!("{name}.weight");
        let shape = self.constants.shape(&weight)?;
        let outputs = shape.last().copied().unwrap_or_default();
        let scales = self.constants.floats(&format!("{weight}.scale"), &[outputs])?;
        let bias = self.constants.floats(&format!("{name}.bias"), &[outputs])?;
        let weight = self.constants.unsigned_bytes(&weight, &shape)?;
        Ok(PackedLinear::pack(&weight, ZERO_POINT, scales, bias, self.instructions))
    }

    fn norm(&self, name: &str) -> Result<Norm, BundleError> {
        let (gamma, beta) = (format!("{name}.weight"), format!("{name}.bias"));
        let width = self.constants.shape(&gamma)?;
        Ok(Norm {
            gamma: self.constants.floats(&gamma, &width)?,
            beta: self.constants.floats(&beta, &width)?,
        })
    }

    fn head(&self, hidden: usize) -> Result<Head, BundleError> {
        let labels = self.constants.shape("classifier.bias")?;
        let weight = self.constants.floats("classifier.weight", &[labels[0], hidden])?;
        Ok(Head { weight, bias: self.constants.floats("classifier.bias", &labels)? })
    }
}
