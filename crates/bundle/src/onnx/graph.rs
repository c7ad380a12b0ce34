use prost::Message;

use super::proto::{
    Attribute, FLOAT, Graph, INT8, INT64, Model, Node, OperatorSet, Tensor, UINT8, ValueInfo,
};

/// The domain of ONNX Runtime's own operators.
const MICROSOFT: &str = "com.microsoft";

/// An operator and the domain that defines it.
#[derive(Clone, Copy)]
pub(crate) enum Operator {
    /// Of the ONNX standard, opset 17.
    Standard(&'static str),
    /// Of ONNX Runtime.
    Microsoft(&'static str),
}

/// A value in the graph: the result of a node, an input or a constant. `None` stands for an optional
/// input that is left out.
pub(crate) type Value = String;

/// Left out.
pub(crate) fn none() -> Value {
    Value::new()
}

/// Collects nodes and constants in the order they are computed.
#[derive(Default)]
pub(crate) struct GraphBuilder {
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
}

impl GraphBuilder {
    /// Adds a node with one result, which has the node's name.
    pub(crate) fn node(
        &mut self,
        operator: Operator,
        name: &str,
        inputs: &[Value],
        attributes: Vec<Attribute>,
    ) -> Value {
        self.push(operator, name, inputs, vec![name.to_owned()], attributes);
        name.to_owned()
    }

    /// Adds a node with three results.
    pub(crate) fn node3(&mut self, operator: Operator, name: &str, inputs: &[Value]) -> [Value; 3] {
        let results = [0, 1, 2].map(|i| format!("{name}.{i}"));
        self.push(operator, name, inputs, results.to_vec(), Vec::new());
        results
    }

    fn push(
        &mut self,
        op: Operator,
        name: &str,
        inputs: &[Value],
        output: Vec<Value>,
        attrs: Vec<Attribute>,
    ) {
        let (op_type, domain) = match op {
            Operator::Standard(op) => (op, ""),
            Operator::Microsoft(op) => (op, MICROSOFT),
        };
        self.nodes.push(Node {
            input: inputs.to_vec(),
            output,
            name: name.to_owned(),
            op_type: op_type.to_owned(),
            attribute: attrs,
            domain: domain.to_owned(),
        });
    }

    pub(crate) fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> Value {
        self.constant(name, dims, FLOAT, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    pub(crate) fn integers(&mut self, name: &str, values: &[i64]) -> Value {
        self.constant(name, &[values.len()], INT64, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    pub(crate) fn unsigned_bytes(&mut self, name: &str, dims: &[usize], values: Vec<u8>) -> Value {
        self.constant(name, dims, UINT8, values)
    }

    pub(crate) fn signed_bytes(&mut self, name: &str, dims: &[usize], values: &[i8]) -> Value {
        self.constant(name, dims, INT8, values.iter().map(|v| v.cast_unsigned()).collect())
    }

    fn constant(&mut self, name: &str, dims: &[usize], data_type: i32, raw_data: Vec<u8>) -> Value {
        let dims = dims.iter().map(|extent| *extent as i64).collect();
        self.constants.push(Tensor { dims, data_type, name: name.to_owned(), raw_data: raw_data.into() });
        name.to_owned()
    }

    /// The finished file.
    pub(crate) fn finish(self, input: ValueInfo, output: Vec<ValueInfo>) -> Vec<u8> {
        let graph = Graph {
            node: self.nodes,
            name: "bert-classifier".to_owned(),
            initializer: self.constants,
            input: vec![input],
            output,
        };
        let opset_import = [("", 17), (MICROSOFT, 1)]
            .map(|(domain, version)| OperatorSet { domain: domain.to_owned(), version })
            .to_vec();
        let producer_name = "modloop".to_owned();
        Model { ir_version: 8, producer_name, graph: Some(graph), opset_import }.encode_to_vec()
    }
}

/// A node's attribute that is one number.
pub(crate) fn float(name: &str, value: f32) -> Attribute {
    Attribute { name: name.to_owned(), f: Some(value), r#type: 1, ..Attribute::default() }
}

/// A node's attribute that is one integer.
pub(crate) fn integer(name: &str, value: usize) -> Attribute {
    Attribute { name: name.to_owned(), i: Some(value as i64), r#type: 2, ..Attribute::default() }
}

/// A node's attribute that is a list of integers.
pub(crate) fn integers(name: &str, values: &[i64]) -> Attribute {
    Attribute { name: name.to_owned(), ints: values.to_vec(), r#type: 7, ..Attribute::default() }
}
