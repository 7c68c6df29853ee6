"""A saved model in a process that has never heard of this package."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import modeling_bert_crf
from modeling_bert_crf import BertBiLSTMCRFConfig, BertBiLSTMCRFPipeline

PACKAGE = Path(modeling_bert_crf.__file__).parent
SHIPPED = sorted(path.name for path in PACKAGE.glob("*.py") if path.name != "__init__.py")

TEXTS = ["Ada Lovelace visited Paris in the rain .", "rain , yesterday"]

# What a call may ask for besides entities.
ARGUMENTS = [{"num_paths": 3}, {"threshold": 0.2}, {"decoding": "marginal"}, {"batch_tokens": 9}, {"batch_size": 2}]

# Loads a folder by every auto class and as a pipeline, writes what each says, and saves the model again.
SCRIPT = """
import importlib.util, json, sys, warnings
sys.path = [path for path in sys.path if path not in ("", {checkout!r})]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
assert importlib.util.find_spec("modeling_bert_crf") is None
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification, AutoTokenizer, pipeline
source, copy, out = sys.argv[1:]
texts = {texts!r}
config = AutoConfig.from_pretrained(source, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=True)
batch = tokenizer(texts, return_tensors="pt", padding=True)
said = {{"config": type(config).__name__, "labels": config.labels}}
for auto in (AutoModel, AutoModelForTokenClassification):
    model = auto.from_pretrained(source, trust_remote_code=True).eval()
    output = model(**batch)
    said[auto.__name__] = [type(model).__name__, output.paths.tolist(), output.logits.tolist()]
for task in ("token-classification", "ner"):
    tagger = pipeline(task, model=source, trust_remote_code=True)
    said[task] = [type(tagger).__name__, tagger(texts), *tagger(iter(texts))]
for arguments in {arguments!r}:
    said[str(arguments)] = tagger(texts, **arguments)
model.save_pretrained(copy)
tokenizer.save_pretrained(copy)
json.dump(said, open(out, "w"))
"""


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """Run the script in a bare process: no package, an empty cache, no network. Returns what it wrote."""

    def run(source, copy):
        folder = tmp_path_factory.mktemp("stranger")
        script = SCRIPT.format(checkout=str(PACKAGE.parent), texts=TEXTS, arguments=ARGUMENTS)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"HF_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
        result = subprocess.run(
            [sys.executable, "-c", script, str(source), str(copy), str(folder / "said.json")],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        return json.loads((folder / "said.json").read_text())

    return run


def test_a_saved_model_loads_where_the_package_is_not(strangers, model, tokenizer, tmp_path):
    model.set_temperature(1.7)
    model.config.word_splitter = "unicode_words"
    model.save_pretrained(tmp_path / "first")
    tokenizer.save_pretrained(tmp_path / "first")
    output = model(**tokenizer(TEXTS, return_tensors="pt", padding=True))
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    entities = tagger(TEXTS)

    said = strangers(tmp_path / "first", tmp_path / "second")
    again = strangers(tmp_path / "second", tmp_path / "third")

    assert said["config"] == "BertBiLSTMCRFConfig"
    assert said["labels"] == model.config.labels
    for auto in ("AutoModel", "AutoModelForTokenClassification"):
        assert said[auto] == ["BertBiLSTMCRFForTokenClassification", output.paths.tolist(), output.logits.tolist()]
    for task in ("token-classification", "ner"):
        assert said[task] == ["BertBiLSTMCRFPipeline", entities, *entities]
    for arguments in ARGUMENTS:
        assert said[str(arguments)] == tagger(TEXTS, **arguments)
    assert again == said
    for name in [*SHIPPED, "config.json", "model.safetensors"]:
        assert (tmp_path / "third" / name).read_bytes() == (tmp_path / "first" / name).read_bytes(), name


def test_a_model_folder_holds_exactly_the_weights_the_configuration_and_the_shipped_files(model, tmp_path):
    model.save_pretrained(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["config.json", "model.safetensors", *SHIPPED])


def test_the_pipeline_saves_the_same_files(model, tokenizer, tmp_path):
    BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer).save_pretrained(tmp_path)

    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", *SHIPPED}


def test_the_configuration_names_every_way_in(model, tmp_path):
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())

    for reference in [*config["auto_map"].values(), *(info["impl"] for info in config["custom_pipelines"].values())]:
        module, name = reference.split(".")
        assert f"class {name}" in (tmp_path / f"{module}.py").read_text()
    assert config["model_type"] == BertBiLSTMCRFConfig.model_type


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_import_only_what_every_user_has(name):
    """The standard library, torch, transformers, `regex`, which transformers requires, and siblings in the one form
    that the host finds."""
    source = (PACKAGE / name).read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module.split(".")[0]]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1
            assert f"{node.module}.py" in SHIPPED
            continue
        else:
            continue
        assert all(module in sys.stdlib_module_names | {"torch", "transformers", "regex"} for module in names), names
    # In a docstring too the host would take such a line for an import.
    imports = [line for line in source.splitlines() if line.strip().startswith(("from .", "import ."))]
    assert all(line.startswith("from .") for line in imports)
