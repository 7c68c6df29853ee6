"""An exported model tags as the model does, without torch; one that does not is refused."""

import ast
import json
import math
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from itertools import chain
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import LABELS, WORDS
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from oracle import Chain, log_sum
from oracle import marginals as true_marginals
from typer.testing import CliRunner

from bert_crf_command.app import app
from modeling_bert_crf import BertBiLSTMCRFPipeline, LinearChainCRF
from modeling_bert_crf.export import writing
from modeling_bert_crf.export.numpy_crf import NumpyCRF
from modeling_bert_crf.export.quantization import smooth
from modeling_bert_crf.export.runtime import OnnxTagger
from modeling_bert_crf.schemes import constraints, continues

SENTENCES = [["Ada", "Lovelace", "visited", "Paris", "."], ["rain"], WORDS, ["the", "RAIN", "in", "Oslo", ",", "8°C"]]
TEXTS = [
    "Ada Lovelace visited Paris. The rain, yesterday!",
    "",
    "rain " * 90 + "in Paris",
    "  \n",
    "Bo\u0301b in 東京",
    "Ada\u2019s 3.5mg in A\u030as, Zoe\u0308\u2060 \U0001f44d\U0001f3fd \u0928\u0947",
]
WITHOUT_TORCH = """
import json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "modeling_bert_crf"):
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
from runtime import OnnxTagger

texts, words = json.load(sys.stdin)
tagger = OnnxTagger(".")
print(json.dumps([tagger(texts), tagger(words, is_split_into_words=True)]))
"""


@pytest.fixture(scope="module")
def exported(module_model, tokenizer, tmp_path_factory):
    """A folder with both encoders, and the result of its comparison with the model."""
    folder = tmp_path_factory.mktemp("exports") / "tagger"
    tokenizer("Ada in Paris", truncation=True, max_length=5, padding="max_length")  # which it remembers
    gold = [["B-PER", "I-PER", "O", "B-LOC", "O"], ["O"], ["O"] * 10, ["O"] * 6]
    return folder, writing.export(module_model, tokenizer, folder, SENTENCES, gold, int8=True)


@pytest.fixture(scope="module")
def module_model(make_model):
    return make_model(
        num_lstm_layers=2,
        lstm_hidden_size=7,
        word_shape_size=5,
        context_size=9,
        temperature=1.7,
        word_splitter="unicode_clitics",
    )


@pytest.fixture(scope="module")
def pipe(module_model, tokenizer):
    return BertBiLSTMCRFPipeline(model=module_model, tokenizer=tokenizer)


@pytest.fixture(scope="module")
def tagger(exported):
    return OnnxTagger(exported[0])


@pytest.fixture
def reuse_encoder(exported, monkeypatch):
    """Spare a test that is not about the encoder the seconds of writing one."""
    encoder = (exported[0] / "encoder.onnx").read_bytes()
    monkeypatch.setattr(writing, "_write_encoder", lambda model, file: file.write_bytes(encoder))


def assert_same(found, expected):
    assert [[{**one, "score": None} for one in text] for text in found] == [
        [{**one, "score": None} for one in text] for text in expected
    ]
    for one, other in zip(chain(*found), chain(*expected), strict=True):
        assert list(one) == list(other)
        assert one["score"] == pytest.approx(other["score"], abs=2e-5)


def test_texts_of_any_length_get_the_entities_of_the_pipeline(tagger, pipe):
    expected = pipe(TEXTS)
    assert any(expected)
    assert any(entity["start"] > 400 for entity in expected[2])  # far beyond a window
    assert_same(tagger(TEXTS), expected)


def test_words_get_the_entities_of_the_pipeline(tagger, pipe):
    assert_same(tagger(SENTENCES, is_split_into_words=True), pipe(SENTENCES, is_split_into_words=True))
    assert tagger([[]], is_split_into_words=True) == [[]]
    assert tagger([]) == []


def test_each_word_gets_the_tag_and_probability_of_the_pipeline(tagger, pipe):
    assert_same(tagger(TEXTS, aggregation_strategy="none"), pipe(TEXTS, aggregation_strategy="none"))


def test_an_input_of_the_wrong_kind_is_refused(tagger):
    with pytest.raises(ValueError, match="inputs must be a list of texts, got the text 'Ada'"):
        next(tagger.stream("Ada"))
    with pytest.raises(ValueError, match=r"a text must be a string, got \['Ada'\]; pass is_split_into_words=True"):
        tagger([["Ada"]])
    with pytest.raises(ValueError, match=r"text 2, word 1 must be Unicode text, got half a character, '\\ud800'"):
        tagger([["Ada"], ["\ud800"]], is_split_into_words=True)
    with pytest.raises(ValueError, match="must be a list of words, or of sentences, got 'Ada'"):
        tagger(["Ada"], is_split_into_words=True)
    with pytest.raises(ValueError, match="aggregation_strategy must be 'simple' or 'none', got 'max'"):
        tagger(["Ada"], aggregation_strategy="max")
    for options, message in (
        ({"threshold": 1.5}, r"threshold must be from 0 to 1, got 1\.5"),
        ({"decoding": "greedy"}, "decoding must be 'viterbi' or 'marginal', got 'greedy'"),
        ({"num_paths": 0}, "num_paths must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            tagger(["Ada"], **options)


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 0.5},
        {"threshold": 0.7, "aggregation_strategy": "none"},
        {"decoding": "marginal"},
        {"num_paths": 3, "threshold": 0.3},
        {"num_paths": 200, "aggregation_strategy": "none"},  # a text of two words has 25 paths at most
    ],
    ids=str,
)
def test_every_option_is_the_pipelines(tagger, pipe, options):
    # Of a long text many paths are all but equally probable, and their order is a matter of rounding.
    texts = TEXTS if options.get("num_paths", 1) < 9 else ["in Paris", "", "rain"]
    assert_alike(tagger(texts, **options), pipe(texts, **({"ignore_labels": ["O"]} | options)))
    assert_alike(tagger(texts[0], **options), pipe(texts[0], **options))


def assert_alike(found, expected):
    """Compare results of any depth; probabilities and entropies up to the rounding of an encoder."""
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_alike(found[key], expected[key])
    else:
        assert found == (pytest.approx(expected, abs=1e-4) if isinstance(expected, float) else expected)


def test_what_is_known_restricts_an_export_as_it_does_the_pipeline(tagger, pipe):
    texts, known = ["Ada Lovelace visited Paris", "", "rain"], [[(0, 12, "LOC"), (21, 26, ["PER", "LOC"])], [], []]
    split = tagger.split(texts)
    emissions = tagger.score([one for text in split for one in text.chains])
    restricted = tagger.restrict(split, emissions, known, [1, 2, 3])
    assert_alike(tagger.read(split, restricted), pipe(texts, known=known))
    with pytest.raises(ValueError, match="text 7: what is known must agree"):
        tagger.restrict(split[:1], emissions[:1], [[(0, 3, "O"), (0, 12, "LOC")]], [7])


def test_several_threads_may_share_a_tagger(tagger):
    alone = [tagger([text]) for text in TEXTS]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda text: tagger([text]), TEXTS * 6))
    assert_alike(found, alone * 6)


def test_eight_bits_give_a_sentence_one_result_in_every_batch(exported):
    tagger = OnnxTagger(exported[0], int8=True, threads=1)
    alone = [tagger([words], is_split_into_words=True)[0] for words in SENTENCES]
    assert_same(tagger(SENTENCES * 3, is_split_into_words=True), alone * 3)


WINDOWS = [[2, 5, 6, 7, 8, 9, 3], [2, 10, 11, 3], [2, 12, 13, 14, 15, 16, 17, 18, 3]]


def run_graph(model, feed):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feed)[0]


def test_smoothing_evens_out_channels_and_changes_no_output(exported, tmp_path):
    encoder = onnx.load(exported[0] / "encoder.onnx")
    norms = [node.input[1] for node in encoder.graph.node if node.op_type == "LayerNormalization"]
    for constant in encoder.graph.initializer:
        if constant.name in norms:
            gain = numpy_helper.to_array(constant) * np.where(np.arange(36) % 7, 1, 40).astype(np.float32)
            constant.CopyFrom(numpy_helper.from_array(gain, constant.name))
    smoothed = onnx.ModelProto.FromString(encoder.SerializeToString())
    assert sorted(map(len, smooth(smoothed, WINDOWS))) == [1] * 12  # six in each of two layers
    read_norms = [
        node.input[0]
        for node in smoothed.graph.node
        if node.op_type == "Mul" and node.output[0].endswith("_smoothed") and node.input[0].startswith("layer_norm")
    ]
    assert len(read_norms) == 8  # query, key, value and the way up, in both layers
    norm_factors = {
        node.input[1] for node in smoothed.graph.node if node.op_type == "Mul" and node.input[0] in set(read_norms)
    }
    factors = [numpy_helper.to_array(one) for one in smoothed.graph.initializer if one.name in norm_factors]
    large = np.arange(36) % 7 == 0
    assert all(np.median(factor[large]) < np.median(factor[~large]) / 4 for factor in factors)

    feed = {"input_ids": np.arange(14).reshape(2, 7), "attention_mask": np.ones((2, 7), np.int64)}
    exact = run_graph(encoder, feed)
    assert np.allclose(run_graph(smoothed, feed), exact, rtol=1e-4, atol=1e-4)
    errors = []
    for name, model in (("plain", encoder), ("smoothed", smoothed)):
        onnx.save(model, tmp_path / f"{name}.onnx")
        options = {"per_channel": True, "weight_type": QuantType.QInt8, "op_types_to_quantize": ["MatMul"]}
        quantize_dynamic(tmp_path / f"{name}.onnx", tmp_path / f"{name}.int8.onnx", **options)
        errors.append(np.abs(run_graph(onnx.load(tmp_path / f"{name}.int8.onnx"), feed) - exact).mean())
    assert errors[1] < errors[0] / 2


def test_a_matrix_that_two_products_share_is_smoothed_once():
    """As in ALBERT, all of whose layers have the same weights."""
    rng = np.random.default_rng(3)
    large = np.where(np.arange(5) == 1, 50, 1).astype(np.float32)
    weights = rng.standard_normal((5, 5)).astype(np.float32)
    tables = {"embeddings": rng.standard_normal((20, 5)).astype(np.float32) * large, "shared": weights}
    nodes = [
        helper.make_node("Gather", ["embeddings", "input_ids"], ["embedded"]),
        helper.make_node("MatMul", ["embedded", "shared"], ["first"], name="one"),
        helper.make_node("MatMul", ["first", "shared"], ["second"], name="two"),
        helper.make_node("Add", ["second", "embedded"], ["hidden"]),
    ]
    ids = [helper.make_tensor_value_info(name, 7, ["B", "S"]) for name in ("input_ids", "attention_mask")]
    hidden = helper.make_tensor_value_info("hidden", 1, ["B", "S", 5])
    constants = [numpy_helper.from_array(value, name) for name, value in tables.items()]
    graph = helper.make_graph(nodes, "shared", ids, [hidden], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    feed = {"input_ids": np.array([[3, 8, 15]]), "attention_mask": np.ones((1, 3), np.int64)}
    exact = run_graph(model, feed)
    assert smooth(model, WINDOWS) == [["one", "two"]]
    assert sum(node.op_type == "Mul" for node in model.graph.node) == 2
    assert np.allclose(run_graph(model, feed), exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("quick", "exact", "kept"),
    [(990, 1000, "quick"), (989, 1000, "exact"), (700, 650, "quick"), (601, 734, "exact"), (601, 733, "quick")],
)
def test_the_slower_encoder_of_eight_bits_is_kept_where_the_quick_one_is_not_good_enough(
    quick, exact, kept, tmp_path, monkeypatch
):
    """Good enough is 99 % of the paths, or at most half as many different ones again as the slower one has."""
    found = {"quick": quick, "exact": exact}

    class Compared:
        windows = ((2, 3),)

        def of(self, tagger):
            return {"equal_paths": found[tagger]}

        def different(self, result):
            return 1000 - result["equal_paths"]

        def is_equal(self, result, share):
            return result["equal_paths"] >= share * 1000

    def variants(encoder, folder, windows):
        for name in found:
            (folder / name).write_text(name)
        return {f"{name} said": folder / name for name in found}

    monkeypatch.setattr(writing, "quantize", variants)
    monkeypatch.setattr(writing, "OnnxTagger", lambda folder, int8: (folder / "encoder.int8.onnx").read_text())
    parity = writing._write_int8(Compared(), tmp_path)
    other = ({"quick", "exact"} - {kept}).pop()
    assert parity == {
        "variant": f"{kept} said",
        "equal_paths": found[kept],
        "other": {"variant": f"{other} said", "equal_paths": found[other]},
    }
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"encoder.int8.onnx": kept}


def test_a_stream_is_read_as_it_is_asked_for(tagger):
    read = []
    stream = tagger.stream(read.append(text) or text for text in ["Ada in Paris."] * 5000)
    next(stream)
    assert len(read) <= 1024


def test_the_folder_runs_where_there_is_neither_torch_nor_transformers(exported, pipe):
    run = subprocess.run(
        [sys.executable, "-I", "-c", "import sys; sys.path.insert(0, '.')\n" + WITHOUT_TORCH],
        cwd=exported[0],
        input=json.dumps([TEXTS, SENTENCES]),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    texts, words = json.loads(run.stdout)
    assert_same(texts, pipe(TEXTS))
    assert_same(words, pipe(SENTENCES, is_split_into_words=True))


def test_the_code_in_the_folder_imports_what_the_docs_say(exported):
    code = {path.stem: ast.parse(path.read_text()) for path in exported[0].glob("*.py")}
    imported = set()
    for node in chain.from_iterable(map(ast.walk, code.values())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module.partition(".")[0])
    assert imported - sys.stdlib_module_names - code.keys() == {"numpy", "onnxruntime", "regex", "tokenizers"}
    page = (Path(__file__).parents[1] / "docs" / "export.md").read_text()
    assert "needs numpy, onnxruntime, regex and tokenizers only" in " ".join(page.split())
    assert "`pip install numpy onnxruntime regex tokenizers`" in ast.get_docstring(code["runtime"])


def test_no_file_holds_anything_of_the_machine_and_the_code_that_made_it(exported):
    """Torch's exporter notes at every node which lines of which files it comes from."""
    folder, _ = exported
    places = {str(Path(torch.__file__).parents[1]), str(Path(writing.__file__).parents[1]), str(Path.home())}
    places |= {str(folder), str(folder.parent), tempfile.gettempdir()}
    for path in (path for path in folder.iterdir() if path.is_file()):
        code = ('.py"', "stack_trace", 'File "', "self.", "return ", "pkg.torch") if path.suffix == ".onnx" else ()
        for trace in (*places, *code):
            assert trace.encode() not in path.read_bytes(), (path.name, trace)


def test_the_folder_says_what_it_is_and_what_it_needs(exported):
    folder, _ = exported
    said, needs = (folder / "README.md").read_text(), (folder / "requirements.txt").read_text()
    names = {path.name for path in folder.iterdir() if path.is_file()}
    assert {*re.findall(r"`([\w.]+\.(?:onnx|npz|json|py))`", said)} <= names
    assert '["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]' in said
    assert "* float32: 4 paths are equal (100.00%)" in said
    assert [line.split("==")[0] for line in needs.splitlines()] == ["numpy", "onnxruntime", "regex", "tokenizers"]
    assert all(metadata.version(name).startswith(pin) for name, pin in re.findall(r"(\w+)==(.+)", needs))
    (block,) = re.findall(r"```python\n(.*?)```", said, re.DOTALL)
    program = f"{block}\nfrom handler import EndpointHandler\n" + (
        "ask = EndpointHandler('.')\n"
        "assert ask({'inputs': 'Ada in Paris'}) == EndpointHandler()({'inputs': ['Ada in Paris']})[0]\n"
        "assert ask({'inputs': 'Ada in Paris', 'parameters': {'threshold': 1}}) == []\n"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_the_folder_is_a_program(exported):
    run = subprocess.run(
        [sys.executable, "runtime.py", ".", "Ada Lovelace visited Paris"],
        cwd=exported[0],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == OnnxTagger(exported[0])(["Ada Lovelace visited Paris"])[0]


def test_the_parity_counts_what_it_compares(exported):
    folder, parity = exported
    assert json.loads((folder / "parity.json").read_text()) == parity
    assert (parity["sentences"], parity["words"]) == (4, 22)
    found = parity["float32"]
    assert (found["equal_paths"], found["ties"], found["equal_entities"], found["differences"]) == (4, 0, 4, [])
    assert 0 < found["largest_emission_difference"] < 1e-4
    assert found["f1"] == parity["f1"]
    assert parity["int8"]["largest_emission_difference"] > 1e-3
    for found in (parity["int8"], parity["int8"]["other"]):
        assert len(found["differences"]) == 4 - found["equal_paths"]
    variants = {parity["int8"]["variant"], parity["int8"]["other"]["variant"]}
    assert variants == {"all matrices in 8 bits", "3 of 12 matrices in 32 bits"}
    assert sorted(path.name for path in folder.glob("*.onnx")) == ["encoder.int8.onnx", "encoder.onnx", "head.onnx"]


def test_the_bilstm_is_one_operator_a_layer(exported):
    nodes = onnx.load(exported[0] / "head.onnx").graph.node
    assert sum(node.op_type == "LSTM" for node in nodes) == 2
    assert len(nodes) < 15


def test_an_export_without_extras_has_no_more_inputs_than_it_reads(make_model, tokenizer, tmp_path, reuse_encoder):
    model = make_model(num_lstm_layers=0)
    parity = writing.export(model, tokenizer, tmp_path / "plain", TEXTS)
    assert parity["float32"]["equal_paths"] == parity["sentences"]
    assert "f1" not in parity
    assert [one.name for one in onnx.load(tmp_path / "plain" / "head.onnx").graph.input] == ["words"]
    with pytest.raises(FileNotFoundError, match=r"must hold encoder\.int8\.onnx"):
        OnnxTagger(tmp_path / "plain", int8=True)
    assert_same(OnnxTagger(tmp_path / "plain")(TEXTS), BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)(TEXTS))


@pytest.mark.parametrize(
    ("labels", "tag_scheme", "scheme"),
    [
        (["O", "B-PER", "LOC"], None, None),
        (["O", "I-PER", "I-LOC"], "auto", "IO"),
        (["B", "I", "O"], "auto", "IOB2"),
    ],
)
def test_an_export_reads_its_paths_as_the_model_does(
    make_model, tokenizer, tmp_path, reuse_encoder, labels, tag_scheme, scheme
):
    model = make_model(labels, tag_scheme=tag_scheme)
    parity = writing.export(model, tokenizer, tmp_path / "out", TEXTS)

    assert parity["float32"]["equal_entities"] == len(TEXTS)
    assert OnnxTagger(tmp_path / "out").scheme == scheme
    settings = json.loads((tmp_path / "out" / "tagger.json").read_text())
    assert settings.pop("scheme") == scheme
    (tmp_path / "out" / "tagger.json").write_text(json.dumps(settings))  # as an export of 0.1
    assert OnnxTagger(tmp_path / "out").scheme == scheme


def test_an_export_tags_at_the_operating_point_in_force(module_model, tokenizer, tmp_path, monkeypatch, reuse_encoder):
    pipe = BertBiLSTMCRFPipeline(model=module_model, tokenizer=tokenizer)
    biases = {"background_to_start": 1.5, "start_to_start": -2.0, "inside_to_continue": 0.5, "end_to_start": -9.0}
    plain, points = pipe(TEXTS), {"biased": {"biases": biases}}
    monkeypatch.setattr(module_model.config, "operating_points", points)
    biased = pipe(TEXTS, operating_point="biased")
    kind = biased[0][0]["entity_group"]
    scores = sorted(one["score"] for one in chain(*biased) if one["entity_group"] == kind)
    points["mine"] = {"biases": biases, "thresholds": {kind: (scores[0] + scores[-1]) / 2}}
    monkeypatch.setattr(module_model.config, "operating_point", "mine")
    expected = pipe(TEXTS)
    assert len({sum(map(len, found)) for found in (plain, biased, expected)}) == 3

    parity = writing.export(module_model, tokenizer, tmp_path / "tagger", SENTENCES)

    found = parity["float32"]
    assert (found["equal_paths"], found["equal_entities"]) == (parity["sentences"], parity["sentences"])
    tagger = OnnxTagger(tmp_path / "tagger")
    assert_same(tagger(TEXTS), expected)
    assert_same(tagger(TEXTS, aggregation_strategy="none"), pipe(TEXTS, aggregation_strategy="none"))


def test_a_worse_path_is_no_tie_because_biases_are_not_counted(
    module_model, tokenizer, tmp_path, monkeypatch, reuse_encoder
):
    """The plain paths of a model with biases are better than its own without these, and still not its own."""
    biases = {"background_to_start": 6.0, "start_to_start": 6.0, "end_to_start": 6.0}
    monkeypatch.setattr(module_model.config, "operating_points", {"eager": {"biases": biases}})
    monkeypatch.setattr(module_model.config, "operating_point", "eager")
    monkeypatch.setattr(OnnxTagger, "decode", lambda self, emissions, mask: self.crf.decode(emissions, mask))

    with pytest.raises(ValueError, match=r"at least 99\.9% of the model's paths, got [0-3] of 4, and 0 ties"):
        writing.export(module_model, tokenizer, tmp_path / "tagger", SENTENCES)


def test_an_export_that_tags_otherwise_is_refused(module_model, tokenizer, tmp_path, monkeypatch, reuse_encoder):
    tables = writing._tables

    def reverse(crf):
        return {**tables(crf), "transitions": tables(crf)["transitions"].T}

    monkeypatch.setattr(writing, "_tables", reverse)
    with pytest.raises(ValueError, match=r"at least 99\.9% of the model's paths, got [0-3] of 4, and 0 ties"):
        writing.export(module_model, tokenizer, tmp_path / "tagger", SENTENCES)
    assert list(tmp_path.iterdir()) == []


def test_a_path_as_good_as_the_models_own_is_a_tie(module_model, tokenizer, tmp_path, monkeypatch, reuse_encoder):
    """All paths of a model without scores are ties; the export is made to prefer another one than the model."""
    for name, parameter in module_model.named_parameters():
        if name.startswith(("crf", "classifier")):
            monkeypatch.setattr(parameter, "data", torch.zeros_like(parameter))
    tables = writing._tables

    def prefer_another(crf):
        return {**tables(crf), "start_transitions": tables(crf)["start_transitions"] + [0, 1e-9, 0, 0, 0]}

    monkeypatch.setattr(writing, "_tables", prefer_another)
    gold = [["B-LOC"] + ["O"] * (len(words) - 1) for words in SENTENCES]
    parity = writing.export(module_model, tokenizer, tmp_path / "tagger", SENTENCES, gold)
    found = parity["float32"]
    assert (found["equal_paths"], found["ties"], found["f1"], parity["f1"]) == (0, 4, 1, 0)
    assert [one["margin"] for one in found["differences"]] == [0, 0, 0, 0]


def test_a_folder_in_use_is_left_alone(module_model, tokenizer, tmp_path):
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(ValueError, match="folder must not exist, or be empty, got"):
        writing.export(module_model, tokenizer, tmp_path, SENTENCES)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_nothing_to_compare_is_an_error(module_model, tokenizer, tmp_path, reuse_encoder):
    with pytest.raises(ValueError, match="sentences must hold at least one word, got none"):
        writing.export(module_model, tokenizer, tmp_path / "tagger", ["", " "])
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_an_export_and_says_how_good_it_is(module_model, tokenizer, tmp_path, reuse_encoder):
    module_model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    rows = [{"tokens": words, "tags": ["I-PER"] + ["O"] * (len(words) - 1)} for words in SENTENCES]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "test.txt").write_text("Ada visited Paris.\n\nrain\n")

    def run(folder, sentences):
        command = ["export", str(tmp_path / "model"), str(tmp_path / folder), "--sentences", str(tmp_path / sentences)]
        return CliRunner().invoke(app, command)

    result = run("labelled", "test.jsonl")
    assert result.exit_code == 0, result.output
    assert "4 sentences, 22 words\nfloat32: 4 paths are equal (100.00%)" in result.stdout
    assert "float32: F1" in result.stdout
    assert run("texts", "test.txt").stdout.startswith("2 sentences, 5 words\n")
    result = run("labelled", "test.txt")
    assert result.exit_code == 1
    assert result.stderr == f"bert-crf export: error: {tmp_path / 'labelled'}: must not exist, or be an empty folder\n"
    assert "test.conll: no such file" in run("other", "test.conll").stderr
    assert not (tmp_path / "other").exists()


def make_crfs(num_tags, integer=False, rules=None):
    """The same CRF in torch, in float64, and in numpy."""
    crf = LinearChainCRF(num_tags).double()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.normal_()
            if integer:
                parameter.round_()
        for buffer, rule in zip(
            (crf.allowed_starts, crf.allowed_ends, crf.allowed_transitions), rules or (), strict=False
        ):
            buffer.copy_(torch.tensor(rule))
    return crf, NumpyCRF(**writing._tables(crf))


def make_grid(lengths, num_tags, integer=False):
    emissions = 2 * torch.randn(len(lengths), max(lengths), num_tags, dtype=torch.float64)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    emissions = emissions.round() if integer else emissions
    return emissions.masked_fill(~mask[..., None], math.nan), mask  # nothing may read what is masked


@pytest.mark.parametrize("rules", [None, constraints(LABELS, "IOB2")])
def test_ties_fall_as_in_the_models_crf(rules):
    crf, decoder = make_crfs(5, integer=True, rules=rules)
    emissions, mask = make_grid([1, 9, 4, 0, 6, 7, 2, 9] * 20, 5, integer=True)
    assert (decoder.decode(emissions.numpy(), mask.numpy()) == crf.decode(emissions, mask)[0].numpy()).all()


@pytest.mark.parametrize("rules", [None, constraints(LABELS, "IOB2")])
@pytest.mark.parametrize("count", [1, 7, 40])
def test_the_best_paths_are_those_of_the_models_crf_in_their_order(rules, count):
    crf, decoder = make_crfs(5, integer=True, rules=rules)
    emissions, mask = make_grid([1, 9, 4, 0, 2], 5, integer=True)
    paths, scores = decoder.nbest(emissions.numpy(), mask.numpy(), count)
    expected_paths, expected_scores = crf.nbest(emissions, mask, count)
    assert (paths == expected_paths.numpy()).all()
    assert (scores == expected_scores.numpy()).all()


@pytest.mark.parametrize("rules", [None, constraints(LABELS, "IOB2")])
def test_paths_by_marginals_and_entropies_are_those_of_the_models_crf(rules):
    crf, decoder = make_crfs(5, rules=rules)
    crf.requires_grad_(False)
    emissions, mask = make_grid([1, 9, 4, 0, 2, 30], 5)
    paths = decoder.decode_by_marginals(emissions.numpy(), mask.numpy())
    assert (paths == crf.decode_by_marginals(emissions, mask)[0].numpy()).all()
    assert (paths != decoder.decode(emissions.numpy(), mask.numpy())).any()
    assert np.allclose(
        decoder.entropy(emissions.numpy(), mask.numpy()), crf.entropy(emissions, mask).detach(), atol=1e-12
    )


def test_a_word_under_rules_that_leave_no_path_gets_some_tag_and_probability_0():
    nothing = ([True] * 3, [True] * 3, [[False] * 3] * 3)
    _, decoder = make_crfs(3, rules=nothing)
    emissions, mask = (tensor.numpy() for tensor in make_grid([2], 3))
    assert set(decoder.decode(emissions, mask).flat) <= {0, 1, 2}
    assert (decoder.marginals(emissions, mask) == 0).all()
    paths = decoder.decode(emissions, mask)
    assert decoder.span_probabilities(emissions, mask, paths, [(0, 0, 2)], np.eye(3) == 0) == [0]
    assert decoder.entropy(emissions, mask) == [0]
    paths, scores = decoder.nbest(emissions, mask, 2)
    assert np.isneginf(scores).all()
    assert (paths == -100).all()


@pytest.mark.parametrize("scale", [1, 1000])
def test_paths_marginals_and_spans_are_those_of_enumeration(scale):
    labels, rules = LABELS, constraints(LABELS, "IOB2")
    crf, decoder = make_crfs(5, rules=rules)
    emissions, mask = make_grid([4, 1, 3], 5)
    emissions = emissions * scale
    apart = np.array([[not continues(one, two, "IOB2") for two in labels] for one in labels])
    paths = decoder.decode(emissions.numpy(), mask.numpy())
    marginals = decoder.marginals(emissions.numpy(), mask.numpy())
    entropies = decoder.entropy(emissions.numpy(), mask.numpy())
    spans = [(row, start, end) for row, n in enumerate([4, 1, 3]) for end in range(n + 1) for start in range(end)]
    found = dict(
        zip(spans, decoder.span_probabilities(emissions.numpy(), mask.numpy(), paths, spans, apart), strict=True)
    )
    for row, length in enumerate([4, 1, 3]):
        oracle = Chain(
            emissions[row, :length].tolist(),
            *(parameter.tolist() for parameter in (crf.start_transitions, crf.end_transitions, crf.transitions)),
            *rules,
        )
        scores = oracle.paths()
        if scale > 1:  # whose weights no float can hold
            top = max(scores.values())
            scores = {path: score - top for path, score in scores.items()}
        log_z = log_sum(scores.values())
        best = tuple(paths[row, :length].tolist())
        assert best == max(scores, key=scores.get)
        assert np.allclose(marginals[row, :length], true_marginals(scores, length, 5), atol=1e-12)
        weights = [math.exp(score - log_z) for score in scores.values()]
        expected = -sum(weight * math.log(weight) for weight in weights if weight)
        assert entropies[row] == pytest.approx(expected, abs=1e-11 * scale)
        assert (marginals[row, length:] == 0).all()
        for start, end in [(start, end) for r, start, end in spans if r == row]:
            agreeing = [
                score
                for path, score in scores.items()
                if path[start:end] == best[start:end]
                and (start == 0 or apart[path[start - 1], path[start]])
                and (end == length or apart[path[end - 1], path[end]])
            ]
            assert found[row, start, end] == pytest.approx(math.exp(log_sum(agreeing) - log_z), abs=1e-12 * scale)


def test_an_export_is_scored_and_shows_its_mistakes(exported, tmp_path):
    folder, _ = exported
    (tmp_path / "gold.conll").write_text("Ada\tB-PER\nLovelace\tI-PER\n\nParis\tB-LOC\nrain\tB-LOC\n\n")

    scored = CliRunner().invoke(app, ["evaluate", str(folder), str(tmp_path / "gold.conll"), "--json"])
    shown = CliRunner().invoke(app, ["errors", str(folder), str(tmp_path / "gold.conll")])

    assert (scored.exit_code, shown.exit_code) == (0, 0), scored.output + shown.output
    document = [["Ada", "Lovelace"], ["Paris", "rain"]]  # the model reads sentences among each other
    (found,) = OnnxTagger(folder)([document], is_split_into_words=True)
    scores = json.loads(scored.stdout)
    assert (scores["errors"]["gold"], scores["errors"]["predicted"]) == (3, len(found))
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    assert len(rows) == 2
    said = [(one["word"], one["score"]) for row in rows for one in row["predicted"]]
    assert sorted(said) == [
        (word, pytest.approx(score)) for word, score in sorted((one["word"], one["score"]) for one in found)
    ]
    asked = CliRunner().invoke(app, ["errors", str(folder), str(tmp_path / "gold.conll"), "--operating_point", "f1"])
    assert "an export has the operating point that was in force, and no other" in asked.stderr
