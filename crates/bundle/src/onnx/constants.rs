use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use prost::Message;
use prost::bytes::Bytes;

use super::proto::{Attribute, FLOAT, INT8, Model, Node, Tensor, UINT8};
use crate::BundleError;

/// The constants of an ONNX file by name, each checked for type and shape when it is taken, and its
/// operators' attributes. Bytes are views of the file, which is mapped, not read.
pub struct GraphConstants {
    path: PathBuf,
    nodes: Vec<Node>,
    tensors: HashMap<String, Tensor>,
}

impl GraphConstants {
    /// Maps the file at `path` and finds its constants.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        let file = File::open(path).map_err(BundleError::io("read", path))?;
        // SAFETY: a bundle's files are never written to once they have their name: a new bundle is a new
        // file, and replacing one leaves this one as it is until it is unmapped.
        let mapped = unsafe { Mmap::map(&file) }.map_err(BundleError::io("map", path))?;
        let model = Model::decode(Bytes::from_owner(mapped))
            .map_err(|e| BundleError::invalid(path, format!("is no ONNX file: {e}")))?;
        let graph =
            model.graph.ok_or_else(|| BundleError::invalid(path, "is an ONNX file without a graph"))?;
        let tensors = graph.initializer.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        Ok(Self { path: path.to_owned(), nodes: graph.node, tensors })
    }

    /// Whether a constant holds floats.
    pub fn is_float(&self, name: &str) -> Result<bool, BundleError> {
        Ok(self.tensor(name)?.data_type == FLOAT)
    }

    /// The extents of a constant.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>, BundleError> {
        let dims = &self.tensor(name)?.dims;
        let shape = dims.iter().map(|extent| usize::try_from(*extent)).collect::<Result<_, _>>();
        shape.map_err(|_| self.invalid(format!("holds {name} as {dims:?}")))
    }

    /// An integer attribute of the first operator of this type.
    pub fn integer(&self, operator: &str, attribute: &str) -> Result<i64, BundleError> {
        let number = self.attribute(operator, attribute).and_then(|found| found.i);
        number.ok_or_else(|| self.invalid(format!("has no {operator} with an integer {attribute}")))
    }

    /// A float attribute of the first operator of this type.
    pub fn float(&self, operator: &str, attribute: &str) -> Result<f32, BundleError> {
        let number = self.attribute(operator, attribute).and_then(|found| found.f);
        number.ok_or_else(|| self.invalid(format!("has no {operator} with a number {attribute}")))
    }

    fn attribute(&self, operator: &str, name: &str) -> Option<&Attribute> {
        let node = self.nodes.iter().find(|node| node.op_type == operator)?;
        node.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// Floats of this shape.
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, BundleError> {
        let bytes = self.bytes(name, FLOAT, 4, shape)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// Signed bytes of this shape.
    pub fn signed_bytes(&self, name: &str, shape: &[usize]) -> Result<Bytes, BundleError> {
        self.bytes(name, INT8, 1, shape)
    }

    /// Unsigned bytes of this shape.
    pub fn unsigned_bytes(&self, name: &str, shape: &[usize]) -> Result<Bytes, BundleError> {
        self.bytes(name, UINT8, 1, shape)
    }

    fn bytes(&self, name: &str, data_type: i32, size: usize, shape: &[usize]) -> Result<Bytes, BundleError> {
        let tensor = self.tensor(name)?;
        let found = tensor.dims.iter().map(|extent| usize::try_from(*extent).ok());
        let fits = tensor.data_type == data_type
            && found.eq(shape.iter().copied().map(Some))
            && tensor.raw_data.len() == size * shape.iter().product::<usize>();
        if fits {
            return Ok(tensor.raw_data.clone());
        }
        let (dims, found) = (&tensor.dims, tensor.data_type);
        let wanted = format!("expected {shape:?} of type {data_type}");
        Err(self.invalid(format!("holds {name} as {dims:?} of ONNX type {found}, {wanted}")))
    }

    fn tensor(&self, name: &str) -> Result<&Tensor, BundleError> {
        let advice = "only graphs that this program wrote can be read";
        self.tensors.get(name).ok_or_else(|| self.invalid(format!("has no constant {name}; {advice}")))
    }

    fn invalid(&self, problem: String) -> BundleError {
        BundleError::invalid(&self.path, problem)
    }
}
