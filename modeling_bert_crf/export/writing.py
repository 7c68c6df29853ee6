"""Writing a model as a folder that tags without torch: two ONNX graphs, the CRF's tables, and the code that reads
them.

    encoder.onnx        input_ids, attention_mask (B, S)                               -> hidden (B, S, H)
    head.onnx           words (B, T, H), word_shape_ids (B, T), lengths (B,)           -> emissions (B, T, K)
    encoder.int8.onnx   the encoder with weights of 8 bits, if asked for
    crf.npz             start_transitions, end_transitions, transitions; -inf where forbidden
    tagger.json         the settings of the tagger
    tokenizer.json      the tokenizer
    *.py                `runtime.py`, and the modules that it imports
    parity.json         how far all this agrees with the model, on real sentences
    README.md           what the folder is, and how to use it
    requirements.txt    what has to be installed

There are two graphs, since a long text is read in several windows, whose words then become one chain.
"""

import copy
import json
import logging
import re
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..crf import LinearChainCRF
from ..doors.files import whole
from ..modeling_crf import BiLSTMCRFForTokenClassification
from .card import readme, requirements
from .parity import Comparison, Parity, parity_lines
from .quantization import quantize
from .runtime import OnnxTagger

__all__ = ["MODULES", "OPSET", "export"]

OPSET, IR_VERSION = 20, 10
MODULES = (
    *("export/runtime.py", "export/numpy_crf.py", "export/handler.py"),
    *("batching.py", "text_layout.py", "splitters.py", "words.py", "schemes.py", "path_biases.py"),
    "known_spans.py",
)
"""The code that travels with an export."""
CALIBRATION_WINDOWS = 64
"""How many windows of the sentences the encoder in 8 bits is calibrated on."""
ENOUGH, SPARED = 0.99, 2 / 3
"""The slower encoder in 8 bits is kept if the quick one has fewer than `ENOUGH` of the model's paths, and the slower
one at most `SPARED` of its different paths."""


def export(
    model: BiLSTMCRFForTokenClassification,
    tokenizer: Any,
    folder: str | Path,
    sentences: Sequence[str] | Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]] | None = None,
    int8: bool = False,
) -> Parity:
    """Write a model as a folder that tags without torch; it is kept if it tags real sentences as the model does.

    Args:
        model: a trained tagger; it stays as it is.
        tokenizer: its tokenizer, a fast one.
        folder: where to write; must not exist, or be empty.
        sentences: those to compare on, texts or lists of words; at least one, better a thousand.
        gold: the tags of the words of each sentence, in the model's scheme, if they are known.
        int8: whether to write an encoder with weights of 8 bits, too. It is calibrated on the sentences, and of two
            variants they decide which is kept.

    Returns:
        The result of the comparison, which `parity.json` holds.

    Raises:
        ValueError: if an argument is not as described, or if fewer than 99.9 % of the paths in float32 are the model's
            own or ties with them. Then there is no folder.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"folder must not exist, or be empty, got {folder}")
    if not tokenizer.is_fast:
        raise ValueError(f"tokenizer must be a fast one, got {type(tokenizer).__name__}")
    model = copy.deepcopy(model).float().cpu().eval()
    with whole(folder) as staging:
        staging.mkdir(parents=True)
        _write(model, tokenizer, staging)
        comparison = Comparison(model, tokenizer, staging, sentences, gold)
        parity = comparison.parity | {"float32": comparison.checked(comparison.of(OnnxTagger(staging)))}
        if int8:
            parity["int8"] = _write_int8(comparison, staging)
        (staging / "parity.json").write_text(json.dumps(parity, indent=2) + "\n", "utf-8")
        (staging / "README.md").write_text(readme(model.config.labels, list(parity_lines(parity)), int8), "utf-8")
        (staging / "requirements.txt").write_text(requirements(), "utf-8")
    return parity


def _write_int8(comparison: Comparison, folder: Path) -> dict[str, Any]:
    """Write the encoder in 8 bits: the quick variant, unless it finds many other paths, and the slower one far fewer.

    Returns:
        How far it agrees with the model.
    """
    windows = comparison.windows[:: -(-len(comparison.windows) // CALIBRATION_WINDOWS)]
    tried: list[tuple[Path, dict[str, Any]]] = []
    target = folder / "encoder.int8.onnx"
    for said, variant in quantize(folder / "encoder.onnx", folder, windows).items():
        shutil.copyfile(variant, target)
        tried.append((variant, {"variant": said, **comparison.of(OnnxTagger(folder, int8=True))}))
    quick, slow = (comparison.different(found) for _, found in tried)
    is_quick_enough = comparison.is_equal(tried[0][1], ENOUGH) or slow > SPARED * quick
    (kept, found), (_, other) = tried if is_quick_enough else reversed(tried)
    shutil.copyfile(kept, target)
    for variant, _ in tried:
        variant.unlink()
    return found | {"other": other}


def _write(model: BiLSTMCRFForTokenClassification, tokenizer: Any, folder: Path) -> None:
    config = model.config
    _write_encoder(model, folder / "encoder.onnx")
    onnx.save(_head(model), folder / "head.onnx")
    np.savez(folder / "crf.npz", allow_pickle=False, **_tables(model.crf))
    settings = {
        "labels": config.labels,
        "scheme": config.span_scheme,
        "word_splitter": config.word_splitter,
        "text_unit": config.text_unit,
        "context_size": config.context_size,
        "chain_unit": config.chain_unit,
        "reach": model.reach,
        "max_length": min(tokenizer.model_max_length, model.max_length),
        "operating_point": config.point(None),
        "special_ids": {name: getattr(tokenizer, f"{name}_token_id") for name in ("unk", "mask")},
    }
    (folder / "tagger.json").write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", "utf-8")
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    package = Path(__file__).parents[1]
    for module in MODULES:
        code = (package / module).read_text("utf-8")
        # In an export the modules stand side by side and are no package.
        code = re.sub(r"^from \.+(\w+) import", r"from \1 import", code, flags=re.MULTILINE)
        (folder / Path(module).name).write_text(code, "utf-8")


class _Encoder(nn.Module):
    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.encoder(input_ids, attention_mask=attention_mask, return_dict=False)[0]


def _write_encoder(model: BiLSTMCRFForTokenClassification, file: Path) -> None:
    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")  # its graph has a quarter fewer nodes than that of sdpa, and is faster
    if hasattr(model.config, "num_local_experts"):
        # A graph cannot loop over the experts that a text needs.
        cast(PreTrainedModel, model.base_model).set_experts_implementation("batched_mm")
    input_ids = torch.zeros(2, 3, dtype=torch.int64)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    with _quiet_exporter():
        torch.onnx.export(
            _Encoder(model.base_model).eval(),
            (input_ids, torch.ones_like(input_ids)),
            file,
            dynamo=True,
            opset_version=OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["hidden"],
            dynamic_shapes=(axes, axes),
            external_data=False,
            verbose=False,
        )
    written = onnx.load(file)
    _forget_origin(written)
    onnx.save(written, file)


def _forget_origin(message: Any) -> None:
    """Remove what torch's exporter notes of the code that a model was made by: its lines, and where they were read."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE and field.message_type.name != "TensorProto":
            for one in value if isinstance(value, Sequence) else [value]:
                _forget_origin(one)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hide what torch's exporter logs about its own parts. What it has written is tried afterwards in any case."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _head(model: BiLSTMCRFForTokenClassification) -> onnx.ModelProto:
    """Write `BiLSTMCRFForTokenClassification.emit`, and the word shapes before it, as a graph.

    It is written by hand, since ONNX has an LSTM that reads each row within its length and in both directions. Torch's
    exporter would write two LSTMs between two gathers, and fix the size of the batch in their first state.
    """
    config, weights = model.config, {name: _array(tensor) for name, tensor in model.named_parameters()}
    words = helper.make_tensor_value_info("words", TensorProto.FLOAT, ["batch", "words", config.hidden_size])
    shapes = helper.make_tensor_value_info("word_shape_ids", TensorProto.INT64, ["batch", "words"])
    lengths = helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"])
    emissions = helper.make_tensor_value_info("emissions", TensorProto.FLOAT, ["batch", "words", config.num_labels])
    graph = _Graph()
    flow = "words"
    if config.word_shape_size:
        embedded = graph.add("Gather", graph.constant(weights["word_shapes.weight"]), "word_shape_ids")
        flow = graph.add("Concat", flow, embedded, axis=2)
    if config.num_lstm_layers:
        flow = graph.add("Transpose", flow, perm=[1, 0, 2])  # (T, B, H)
        for layer in range(config.num_lstm_layers):
            flow = _add_lstm(graph, flow, weights, layer, config.lstm_units)
        flow = graph.add("Transpose", flow, perm=[1, 0, 2])
    flow = graph.add("MatMul", flow, graph.constant(weights["classifier.weight"].T))
    flow = graph.add("Add", flow, graph.constant(weights["classifier.bias"]))
    graph.add("Div", flow, graph.constant(np.array(config.temperature, dtype=np.float32)), output="emissions")
    inputs = [words, *([shapes] if config.word_shape_size else []), *([lengths] if config.num_lstm_layers else [])]
    written = helper.make_graph(graph.nodes, "head", inputs, [emissions], graph.constants)
    written = helper.make_model(written, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(written, full_check=True)
    return written


class _Graph:
    """The nodes and constants of a graph, named by their numbers."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, value: np.ndarray) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


def _add_lstm(graph: _Graph, flow: str, weights: dict[str, np.ndarray], layer: int, units: int) -> str:
    """Add a layer of the BiLSTM: (T, B, H) -> (T, B, 2 * units)."""

    def stack(*names: str) -> str:
        """Put the weights of both directions into one array. Torch orders the gates i f g o, and ONNX i o f g."""
        sides = []
        for side in ("left_to_right", "right_to_left"):
            blocks = [weights[f"lstm.{side}.{layer}.{name}"].reshape(4, units, -1)[[0, 3, 1, 2]] for name in names]
            sides.append(np.concatenate([block.reshape(4 * units, -1) for block in blocks]))
        return graph.constant(np.stack(sides).squeeze(2) if names[0].startswith("bias") else np.stack(sides))

    inputs = (stack("weight_ih_l0"), stack("weight_hh_l0"), stack("bias_ih_l0", "bias_hh_l0"))
    states = graph.add("LSTM", flow, *inputs, "lengths", hidden_size=units, direction="bidirectional")  # (T, 2, B, U)
    states = graph.add("Transpose", states, perm=[0, 2, 1, 3])
    return graph.add("Reshape", states, graph.constant(np.array([0, 0, 2 * units])))


def _tables(crf: LinearChainCRF) -> dict[str, np.ndarray]:
    """Return the scores of the CRF, divided by its temperature; -inf where its rules forbid a move."""
    names = {
        "start_transitions": crf.allowed_starts,
        "end_transitions": crf.allowed_ends,
        "transitions": crf.allowed_transitions,
    }
    return {
        name: np.where(_array(allowed), _array(getattr(crf, name) / crf.temperature), -np.inf)
        for name, allowed in names.items()
    }


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()
