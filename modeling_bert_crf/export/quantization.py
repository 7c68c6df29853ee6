"""Write an encoder's weights in 8 bits.

A matrix product in 8 bits has one scale for all activations of a window, so a channel of large values costs the others
their digits. Such channels stand where the gain of a layer norm is large, which is known without sentences. Half of
the difference between channels is moved from the activations into the weights (which have a scale per output)
beforehand, an exact rewriting: x W = (x / s) (s W).

References:
    G. Xiao et al., "SmoothQuant", ICML 2023, eq. 4 with alpha 1/2; their maxima of activations on sample sentences are
    here |bias| + 3 |gain|, three standard deviations of what a layer norm writes.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

DEVIATIONS = 3


def quantize(encoder: Path, target: Path) -> None:
    """Quantize weights now, each matrix with a scale per output channel, and activations when the encoder runs.

    One scale per matrix would cost WNUT-17 two and a half points of F1; embeddings in 8 bits cost nothing.
    """
    prepared = target.with_suffix(".prepared")
    quant_pre_process(encoder, prepared, skip_symbolic_shape=True)
    onnx.save(smooth(onnx.load(prepared)), prepared)
    quantize_dynamic(
        prepared,
        target,
        per_channel=True,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gather"],
    )
    prepared.unlink()


def smooth(model: onnx.ModelProto) -> onnx.ModelProto:
    """Even out the channels that matrix products read off layer norms; the outputs stay what they are."""
    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    norms = {node.output[0]: node for node in graph.node if node.op_type == "LayerNormalization"}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[0] in norms and node.input[1] in constants:
            _, *parameters = norms[node.input[0]].input
            gain, bias = (np.abs(numpy_helper.to_array(constants[name])) for name in parameters)
            weights = constants[node.input[1]]
            values = numpy_helper.to_array(weights)
            tiny = np.finfo(np.float32).eps
            largest = np.abs(values).max(1).clip(tiny), (DEVIATIONS * gain + bias).clip(tiny)  # of each channel
            scale = np.sqrt(largest[1] / largest[0])
            name = f"{node.output[0]}_smoothed"
            graph.initializer.append(numpy_helper.from_array(1 / scale, f"{name}_by"))
            weights.CopyFrom(numpy_helper.from_array(values * scale[:, None], weights.name))
            nodes.append(helper.make_node("Mul", [node.input[0], f"{name}_by"], [name], name=name))
            node.input[0] = name
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return model
