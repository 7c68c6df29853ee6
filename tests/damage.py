"""Ways to damage a tagger's folder, some two thousand: for `test_damaged_folders.py`."""

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from modeling_bert_crf import BertBiLSTMCRFConfig

CONFIG, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS = FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors",
)
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Damage:
    """One way to damage a folder.

    Attributes:
        file: the file that is damaged.
        field: what of it, by the name that an error must say; empty if the file as a whole.
        name: all of it, for people.
        apply: damages the folder that it is given.
    """

    file: str
    field: str
    name: str
    apply: Callable[[Path], Any]


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


ABSENT = object()
VALUES = {
    "absent": ABSENT,
    "null": None,
    "true": True,
    "false": False,
    "0": 0,
    "-1": -1,
    "10**30": 10**30,
    "10**400": 10**400,
    "1.5": 1.5,
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
    "empty text": "",
    "a text": "x",
    "a long text": "\x1b[31m" * 2000,
    "half a character": "\ud800",
    "[]": [],
    "[1, 'x']": [1, "x"],
    "{}": {},
    "a dictionary": {"0": {"a": [None]}},
    "nested": _nested(150),
}
# What the host reads in a configuration though BERT has no such field, and names of the class that are no fields.
FOREIGN = (
    *("num_labels", "auto_map", "custom_pipelines", "torch_dtype", "attn_implementation", "_attn_implementation"),
    *("output_attentions", "experts_implementation", "per_layer_config", "layer_types", "mlp_layer_types"),
    *("rope_parameters", "rope_scaling", "quantization_config", "fusion_config", "distributed_config"),
    *("transformers_weights", "configuration_files", "name_or_path", "_name_or_path", "_commit_hash"),
    *("trust_remote_code", "head_dim", "embedding_size", "gradient_checkpointing", "num_hidden_layers_"),
    *("attribute_map", "to_dict", "validate", "labels", "scheme", "lstm_units", "sub_configs", "_post_init_done"),
    *("__class__", "__dict__"),
)
NAMED = {field.name for field in fields(BertBiLSTMCRFConfig)} | set(FOREIGN)
"""Fields of a configuration that an error about them must name, but for those that only the host looks at."""
NAMED -= {"id2label", "label2id", "torch_dtype", "quantization_config", "transformers_weights", "configuration_files"}
TENSORS = ("classifier.weight", "bert.encoder.layer.0.output.dense.weight", "crf.transitions")


def configurations(folder: Path) -> Iterator[Damage]:
    """Each field with each value, at the place of a good folder's own."""
    good = json.loads((folder / CONFIG).read_text())
    names = dict.fromkeys([*good, *(field.name for field in fields(BertBiLSTMCRFConfig)), *FOREIGN])
    yield from _changes(CONFIG, names)
    for label, names in {
        "no labels": {"id2label": {}, "label2id": {}},
        "a gap": {"id2label": {"0": "O", "2": "B-X"}, "label2id": None},
        "a number as a name": {"id2label": {"0": 1}, "label2id": None},
        "names with an ESC": {"id2label": {"0": "O", "1": "\x1b]0;x\x07"}, "label2id": None},
        "another name": {"id2label": {"0": "O"}, "label2id": {"B-X": 0}},
        "10**5 labels": {"id2label": {str(index): f"B-{index}" for index in range(10**5)}, "label2id": None},
        "ids as text": {"id2label": None, "label2id": {"O": "0", "B-X": "x"}},
    }.items():
        yield Damage(CONFIG, "label", f"{CONFIG}: labels: {label}", _setting(CONFIG, names))
    for name, value in {
        "hidden_act": "no such function",
        "num_attention_heads": 5,
        "num_hidden_layers": 1,
        "num_lstm_layers": 2,
        "word_shape_size": 0,
        "vocab_size": 7,
        "pad_token_id": 10**6,
        "is_decoder": True,
        "add_cross_attention": True,
        "is_encoder_decoder": True,
        "dtype": "int8",
        "attn_implementation": "no such attention",
        "chunk_size_feed_forward": 7,
        "layer_norm_eps": -1.0,
        "max_position_embeddings": 2,
        "model_type": "bert",
        "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    }.items():
        yield Damage(CONFIG, name, f"{CONFIG}: {name} = {value!r}", _setting(CONFIG, {name: value}))


def tokenizers(folder: Path) -> Iterator[Damage]:
    """Each field of the tokenizer's two files with each value, and vocabularies that are not the model's."""
    yield from _changes(TOKENIZER_CONFIG, [*json.loads((folder / TOKENIZER_CONFIG).read_text()), "auto_map"])
    yield from _changes(TOKENIZER, json.loads((folder / TOKENIZER).read_text()))
    for token in ("unk_token", "cls_token", "sep_token", "pad_token"):
        yield Damage(TOKENIZER_CONFIG, token, f"no {token}", lambda folder, token=token: _lose_token(folder, token))
    for length in (-1, 0, 2, 2.5, 10**30):
        setting = _setting(TOKENIZER_CONFIG, {"model_max_length": length})
        yield Damage(TOKENIZER_CONFIG, "model_max_length", f"model_max_length = {length}", setting)

    def change(name: str, change: Callable[[dict[str, int]], dict[str, Any]]) -> Damage:
        def apply(folder: Path) -> None:
            tokenizer = json.loads((folder / TOKENIZER).read_text())
            tokenizer["model"]["vocab"] = change(tokenizer["model"]["vocab"])
            (folder / TOKENIZER).write_text(json.dumps(tokenizer))

        return Damage(TOKENIZER, "", f"{TOKENIZER}: {name}", apply)

    yield change("no vocabulary", lambda vocabulary: {})
    yield change("one word too many", lambda vocabulary: vocabulary | {"new": len(vocabulary)})
    yield change("a huge id", lambda vocabulary: vocabulary | {"Ada": 10**9})
    yield change("a negative id", lambda vocabulary: vocabulary | {"Ada": -1})
    yield change("an id that is a text", lambda vocabulary: vocabulary | {"Ada": "x"})
    yield change("reversed", lambda vocabulary: dict(zip(vocabulary, reversed(vocabulary.values()), strict=True)))
    yield change("no [UNK]", lambda vocabulary: {key: i for key, i in vocabulary.items() if key != "[UNK]"})


def _lose_token(folder: Path, token: str) -> None:
    """Take a special token out of both files, as if the tokenizer had never had one."""
    path = folder / TOKENIZER_CONFIG
    settings = json.loads(path.read_text())
    name = settings.pop(token)
    # A class that does not add BERT's own by default.
    path.write_text(json.dumps(settings | {"tokenizer_class": "PreTrainedTokenizerFast"}))
    tokenizer = json.loads((folder / TOKENIZER).read_text())
    tokenizer["added_tokens"] = [one for one in tokenizer["added_tokens"] if one["content"] != name]
    (folder / TOKENIZER).write_text(json.dumps(tokenizer))


def weights(folder: Path) -> Iterator[Damage]:
    """Tensors that are missing, too many, of other shapes and types, or no numbers; and indices of several files."""
    good = load((folder / WEIGHTS).read_bytes())

    def change(name: str, tensor: str, change: Callable[[dict[str, torch.Tensor]], Any]) -> Damage:
        def apply(folder: Path) -> None:
            tensors = load((folder / WEIGHTS).read_bytes())
            change(tensors)
            (folder / WEIGHTS).write_bytes(save(tensors, {"format": "pt"}))

        return Damage(WEIGHTS, tensor, f"{WEIGHTS}: {tensor} {name}", apply)

    for tensor, values in good.items():
        yield change("missing", tensor, lambda tensors, tensor=tensor: tensors.pop(tensor))
        yield change(
            "of another shape",
            tensor,
            lambda tensors, t=tensor: tensors.update({t: tensors[t].repeat_interleave(2, 0)}),
        )
        if values.is_floating_point():
            for number in ("nan", "inf"):

                def spoil(tensors: dict[str, torch.Tensor], tensor: str = tensor, number: str = number) -> None:
                    tensors[tensor].flatten()[-1] = float(number)

                yield change(f"with {number}", tensor, spoil)
    for tensor in filter(good.__contains__, TENSORS):
        for dtype in (torch.int64, torch.bool, torch.float16, torch.float64, torch.complex64, torch.float8_e4m3fn):
            yield change(
                f"as {dtype}", tensor, lambda tensors, t=tensor, dtype=dtype: tensors.update({t: tensors[t].to(dtype)})
            )
        for shape in ((), (0,), (1, 1, 1)):
            yield change(f"{shape}", tensor, lambda tensors, t=tensor, s=shape: tensors.update({t: torch.zeros(s)}))
    for tensor in ("lstm.left_to_right.1.bias_hh_l0", "bert.encoder.layer.2.output.dense.bias", "another"):
        yield change("too many", tensor, lambda tensors, tensor=tensor: tensors.update({tensor: torch.zeros(3)}))
    yield change("none", "", lambda tensors: tensors.clear())
    yield change(
        "an encoder alone",
        "classifier.bias",
        lambda tensors: [tensors.pop(key) for key in list(tensors) if not key.startswith("bert.")],
    )
    yield from _indices(good)


def _indices(good: dict[str, torch.Tensor]) -> Iterator[Damage]:
    whole = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(good, WEIGHTS.replace("model", "part"))}
    other = whole["weight_map"] | {"crf.transitions": "gone.safetensors"}
    for label, index in {
        "good": whole,
        "a part that is not there": whole | {"weight_map": other},
        "no metadata": {"weight_map": whole["weight_map"]},
        "no map": {"metadata": {}},
        "null": None,
        "a list": [1],
        "an empty map": whole | {"weight_map": {}},
        "a map to numbers": whole | {"weight_map": dict.fromkeys(good, 3)},
        "a map to null": whole | {"weight_map": dict.fromkeys(good)},
        "a map that is a list": whole | {"weight_map": ["x"]},
        "a map that lacks a tensor": whole | {"weight_map": dict(list(whole["weight_map"].items())[1:])},
        "metadata that are a text": whole | {"metadata": "x"},
    }.items():

        def apply(folder: Path, index: Any = index) -> None:
            (folder / WEIGHTS).rename(folder / WEIGHTS.replace("model", "part"))
            (folder / INDEX).write_text(json.dumps(index))

        yield Damage(INDEX, "", f"{INDEX}: {label}", apply)


def whole_files(folder: Path) -> Iterator[Damage]:
    """Each file missing, empty, cut off, not what it says it is, or in another's place."""
    contents: dict[str, bytes] = {
        "empty": b"",
        "one blank": b" ",
        "a text": b"hello",
        "{": b"{",
        "null": b"null",
        "a number": b"7",
        "a list": b"[]",
        "an empty dictionary": b"{}",
        "no UTF-8": b'{"a": "\xff\xfe"}',
        "zeros": bytes(1000),
        "a mark of UTF-16": '{"a": 1}'.encode("utf-16"),
        "deep": b"[" * 200_000 + b"]" * 200_000,
        "deep dictionaries": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
        "a number of 5,000 digits": b'{"vocab_size": ' + b"9" * 5000 + b"}",
        "a page of the web": b"<!DOCTYPE html><html></html>",
        "a pointer of git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "a header without an end": struct.pack("<Q", 2**63) + b"{}",
        "a header that is no JSON": struct.pack("<Q", 2) + b"xx",
        "a header without tensors": struct.pack("<Q", 2) + b"{}",
    }
    for file in FILES:
        whole = (folder / file).read_bytes()
        changes = dict(contents)
        for cut in (1, 8, 9, len(whole) // 2, len(whole) - 1):
            changes[f"cut off after {cut} bytes"] = whole[:cut]
        changes["with a tail"] = whole + b"x"
        changes["with a byte order mark"] = b"\xef\xbb\xbf" + whole
        for other in FILES:
            if other != file:
                changes[f"holding {other}"] = (folder / other).read_bytes()
        for name, content in changes.items():
            yield Damage(file, "", f"{file}: {name}", lambda folder, f=file, c=content: (folder / f).write_bytes(c))
        yield Damage(file, "", f"{file}: missing", lambda folder, file=file: (folder / file).unlink())

        def directory(folder: Path, file: str = file) -> None:
            (folder / file).unlink()
            (folder / file).mkdir()

        def link(folder: Path, file: str = file) -> None:
            (folder / file).unlink()
            (folder / file).symlink_to("gone")

        yield Damage(file, "", f"{file}: a folder", directory)
        yield Damage(file, "", f"{file}: a link to nothing", link)


def _changes(file: str, names: Any) -> Iterator[Damage]:
    for name in names:
        for label, value in VALUES.items():
            yield Damage(file, name, f"{file}: {name} = {label}", _setting(file, {name: value}))


def _setting(file: str, values: dict[str, Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        whole = json.loads((folder / file).read_text()) | values
        (folder / file).write_text(json.dumps({key: value for key, value in whole.items() if value is not ABSENT}))

    return apply


def all_damages(folder: Path) -> list[Damage]:
    """List every way to damage a copy of this good folder."""
    return [one for make in (configurations, tokenizers, weights, whole_files) for one in make(folder)]
