"""Python with ONNX Runtime, int8, one text at a time; reads JSON lists of texts from standard input."""

import json
import os
import sys

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

graph, tokenizer_file = sys.argv[1:3]


def quantised(graph):
    """The usual dynamic quantisation of an fp32 graph."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = graph.replace(".onnx", ".int8.onnx")
    if not os.path.exists(target):
        # ONNX's own shape inference does not know ONNX Runtime's operators.
        floats = {"DefaultTensorType": TensorProto.FLOAT}
        quantize_dynamic(graph, target, weight_type=QuantType.QInt8, per_channel=True, extra_options=floats)
    return target


if len(sys.argv) > 3:
    graph = quantised(graph)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
tokenizer = Tokenizer.from_file(tokenizer_file)
tokenizer.no_padding()
tokenizer.enable_truncation(512)
print("ready", flush=True)
for line in sys.stdin:
    top = 0.0
    for text in json.loads(line):
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        scores = 1 / (1 + np.exp(-session.run(["logits"], {"input_ids": ids})[0][0]))
        top = max(top, float(scores.max()))
    print(top, flush=True)
