"""Writing the weights of an encoder in 8 bits, in two variants, calibrated on sentences.

A matrix product in 8 bits has one scale for all activations of a window. So if one channel has large values, few
digits are left for the others. Before the weights are rounded, differences between channels are therefore moved from
the activations into the weights, which have one scale for each output. This changes no result: x W = (x / s) (s W).
Several s are tried for each matrix on what the encoder makes of some sentences, and the one whose products in 8 bits
come nearest to the exact ones is taken. That error also tells which matrices are the most sensitive: a second variant
of the encoder leaves them in 32 bits, and is slower.

References:
    G. Xiao et al., "SmoothQuant", ICML 2023, eq. 4: s from the largest activation and the largest weight of a channel.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

__all__ = ["FLOAT_SHARE", "quantize", "smooth"]

FLOAT_SHARE = 0.25
"""The share of the matrices that the second variant leaves in 32 bits."""
EXPONENTS = (0.5, 0.7)
"""What part of the differences between channels is moved: alpha of SmoothQuant's eq. 4."""
QUANTILES = (0.5, 0.8, 0.9)
"""Or only what exceeds such a quantile of the channels is moved."""
ROWS = 16
"""How many sub-tokens of a window are looked at."""
TINY = float(np.finfo(np.float32).eps)

Floats = NDArray[np.float32]


class _Activations(NamedTuple):
    """What a matrix reads of one window: some rows (n, H); the least and the largest value of each channel (H,)."""

    rows: Floats
    low: Floats
    high: Floats


class _Matrix(NamedTuple):
    """Weights (H, N), the products that multiply by them, and what these read of the windows."""

    weights: Floats
    nodes: list[onnx.NodeProto]
    read: list[_Activations]


def quantize(encoder: Path, folder: Path, windows: Sequence[Sequence[int]]) -> dict[str, Path]:
    """Round the weights to 8 bits now, and let the encoder round the activations when it runs.

    Each matrix has one scale for each output channel: one scale for the whole matrix would cost two and a half points
    of F1 on WNUT-17. Embeddings in 8 bits cost nothing.

    Args:
        encoder: the graph to read.
        folder: where to write.
        windows: sub-tokens of some sentences, to calibrate on; at least one.

    Returns:
        The variants by what is said of them, the quickest first.
    """
    prepared = folder / "prepared.onnx"
    quant_pre_process(encoder, prepared, skip_symbolic_shape=True)
    model = onnx.load(prepared)
    ranked = smooth(model, windows)
    onnx.save(model, prepared)
    sensitive = ranked[: max(1, round(FLOAT_SHARE * len(ranked)))]
    left = {
        "all matrices in 8 bits": [],
        f"{len(sensitive)} of {len(ranked)} matrices in 32 bits": [name for names in sensitive for name in names],
    }
    variants = {}
    for number, (said, names) in enumerate(left.items()):
        variants[said] = folder / f"variant-{number}.onnx"
        quantize_dynamic(
            prepared,
            variants[said],
            per_channel=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gather"],
            nodes_to_exclude=names,
        )
    prepared.unlink()
    return variants


def smooth(model: onnx.ModelProto, windows: Sequence[Sequence[int]]) -> list[list[str]]:
    """Even out the channels that matrices read, as far as that makes products in 8 bits better. No result changes.

    Args:
        model: an encoder, which is changed.
        windows: to calibrate on.

    Returns:
        The names of the products that use a matrix, for each matrix, the most sensitive first.
    """
    matrices = _matrices(model, windows)
    errors = {name: _smooth(model, name, matrix) for name, matrix in matrices.items()}
    return [[node.name for node in matrices[name].nodes] for name in sorted(errors, key=lambda one: -errors[one])]


def _matrices(model: onnx.ModelProto, windows: Sequence[Sequence[int]]) -> dict[str, _Matrix]:
    """Return the matrices that a graph multiplies by; several products may share one, as in ALBERT."""
    constants = {constant.name: constant for constant in model.graph.initializer if len(constant.dims) == 2}
    products = [node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in constants]
    seen = _activations(model, list(dict.fromkeys(node.input[0] for node in products)), windows)
    found: dict[str, _Matrix] = {}
    for node in products:
        read, name = node.input
        matrix = found.setdefault(name, _Matrix(numpy_helper.to_array(constants[name]), [], []))
        matrix.nodes.append(node)
        matrix.read.extend(seen[read])
    return found


def _activations(
    model: onnx.ModelProto, names: Sequence[str], windows: Sequence[Sequence[int]]
) -> dict[str, list[_Activations]]:
    """Return what values of a graph are in each of the windows."""
    shown = onnx.ModelProto.FromString(model.SerializeToString())
    shown.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(shown.SerializeToString(), providers=["CPUExecutionProvider"])
    found: dict[str, list[_Activations]] = {name: [] for name in names}
    for window in windows:
        ids = np.array([window], dtype=np.int64)
        values = cast(list[Floats], session.run(names, {"input_ids": ids, "attention_mask": np.ones_like(ids)}))
        for name, value in zip(names, values, strict=True):
            rows = value.reshape(-1, value.shape[-1])
            some = rows[:: -(-len(rows) // ROWS)].copy()
            found[name].append(_Activations(some, rows.min(0), rows.max(0)))
    return found


def _smooth(model: onnx.ModelProto, name: str, matrix: _Matrix) -> float:
    """Move differences between channels into the weights of this name; return the error that is left in 8 bits."""
    best, error = None, _error(matrix, np.ones(len(matrix.weights), np.float32))
    for scale in _scales(matrix):
        if (own := _error(matrix, scale)) < error:
            best, error = scale, own
    if best is None:
        return error
    graph = model.graph
    weights = next(constant for constant in graph.initializer if constant.name == name)
    weights.CopyFrom(numpy_helper.from_array(matrix.weights * best[:, None], name))
    by = f"{name}_smoothed_by"
    graph.initializer.append(numpy_helper.from_array(1 / best, by))
    for node in matrix.nodes:
        smoothed = f"{node.output[0]}_smoothed"
        place = next(place for place, other in enumerate(graph.node) if other.output[0] == node.output[0])
        graph.node.insert(place, helper.make_node("Mul", [node.input[0], by], [smoothed], name=smoothed))
        graph.node[place + 1].input[0] = smoothed
    return error


def _scales(matrix: _Matrix) -> Iterator[Floats]:
    """Yield scales (H,) by which the channels of what a matrix reads may be divided."""
    largest = np.max([np.maximum(-one.low, one.high) for one in matrix.read], axis=0).clip(TINY)
    weights = np.abs(matrix.weights).max(1).clip(TINY)
    for alpha in EXPONENTS:
        yield largest**alpha / weights ** (1 - alpha)
    for share in QUANTILES:
        yield np.maximum(largest / np.quantile(largest, share), 1).astype(np.float32)


def _error(matrix: _Matrix, scale: Floats) -> float:
    """Return how far products in 8 bits are from the exact ones: the root of the squared difference's share."""
    weights = matrix.weights * scale[:, None]
    steps = np.abs(weights).max(0).clip(TINY) / 127
    rounded = np.round(weights / steps) * steps
    wrong = exact = 0.0
    for rows, low, high in matrix.read:
        least, most = min(0.0, float((low / scale).min())), max(0.0, float((high / scale).max()))
        step = max((most - least) / 255, TINY)
        zero = np.round(-least / step)
        coarse = (np.clip(np.round(rows / scale / step) + zero, 0, 255) - zero) * step
        right = rows @ matrix.weights
        wrong += float(np.square(coarse.astype(np.float32) @ rounded - right).sum())
        exact += float(np.square(right).sum())
    return (wrong / max(exact, TINY)) ** 0.5
