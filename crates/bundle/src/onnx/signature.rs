use prost::Message;

use super::proto::{Dimension, Extent, FLOAT, INT64, ModelSurface, Shape, Type, ValueInfo};
use super::proto::{GraphSurface, TensorType};

/// The name of the graph's input, int64 `[1, S]`: one unpadded window.
pub(crate) const INPUT: &str = "input_ids";
/// The name of the graph's output, float `[1, labels]`.
pub(crate) const OUTPUT: &str = "logits";

/// What a graph takes and gives.
pub(crate) struct Signature {
    graph: GraphSurface,
}

impl Signature {
    /// Reads an ONNX file's inputs and outputs. The error is a sentence about the file.
    pub(crate) fn read(onnx: &[u8]) -> Result<Self, String> {
        let model = ModelSurface::decode(onnx).map_err(|e| format!("is no ONNX file: {e}"))?;
        let graph = model.graph.ok_or("is an ONNX file without a graph")?;
        Ok(Self { graph })
    }

    /// How many logits the graph gives; an error unless it is a classifier as this project serves it.
    pub(crate) fn classes(&self) -> Result<usize, String> {
        let [input] = self.graph.input.as_slice() else {
            return Err(format!("has {} inputs, expected {INPUT} alone", self.graph.input.len()));
        };
        if input.name != INPUT || !matches!(extents(input, INT64).as_deref(), Some([Some(1), None])) {
            return Err(format!("does not take {INPUT} as int64 [1, any length]"));
        }
        let [output] = self.graph.output.as_slice() else {
            return Err(format!("has {} outputs, expected {OUTPUT} alone", self.graph.output.len()));
        };
        match extents(output, FLOAT).as_deref() {
            Some([Some(1), Some(classes)]) if output.name == OUTPUT => Ok(*classes),
            _ => Err(format!("does not give {OUTPUT} as float [1, labels]")),
        }
    }
}

/// The extents of a tensor of this element type; `None` inside for those that are free.
fn extents(value: &ValueInfo, elem_type: i32) -> Option<Vec<Option<usize>>> {
    let tensor = value.r#type.as_ref()?.tensor_type.as_ref()?;
    if tensor.elem_type != elem_type {
        return None;
    }
    let fixed = |dimension: &Dimension| match dimension.extent {
        Some(Extent::Fixed(extent)) => usize::try_from(extent).ok(),
        Some(Extent::Named(_)) | None => None,
    };
    Some(tensor.shape.as_ref()?.dim.iter().map(fixed).collect())
}

/// Declares an input or output.
pub(crate) fn declare(name: &str, elem_type: i32, dims: Vec<Extent>) -> ValueInfo {
    let dim = dims.into_iter().map(|extent| Dimension { extent: Some(extent) }).collect();
    let tensor_type = Some(TensorType { elem_type, shape: Some(Shape { dim }) });
    ValueInfo { name: name.to_owned(), r#type: Some(Type { tensor_type }) }
}
