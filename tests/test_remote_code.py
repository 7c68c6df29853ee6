"""A saved model in a process that has never heard of this package."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoModelForTokenClassification
from transformers.dynamic_module_utils import get_imports

import modeling_bert_crf
from modeling_bert_crf import BertBiLSTMCRFConfig, BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFPipeline

PACKAGE = Path(modeling_bert_crf.__file__).parent
SHIPPED = sorted(path.name for path in PACKAGE.glob("*.py") if path.name != "__init__.py")
_SIBLINGS = re.findall(r"^from \.(\w+) import", (PACKAGE / "modeling_bert_crf.py").read_text(), flags=re.M)
WITH_BERT = sorted(["modeling_bert_crf.py", *(f"{name}.py" for name in _SIBLINGS)])
"""What travels with a tagger on BERT."""

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


def bare_process(source, copy, folder, python=sys.executable, path=None):
    """Run the script in a bare process: no package, an empty cache, no network. Returns what it wrote.

    Args:
        source, copy: the folder that it loads, and the one that it saves to.
        folder: for all else that it writes.
        python: which Python runs it.
        path: a folder of other versions of libraries than those of this Python.
    """
    script = SCRIPT.format(checkout=str(PACKAGE.parent), texts=TEXTS, arguments=ARGUMENTS)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    environment |= {"PYTHONPATH": str(path)} if path else {}
    result = subprocess.run(
        [str(python), "-c", script, str(source), str(copy), str(folder / "said.json")],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return json.loads((folder / "said.json").read_text())


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    return lambda source, copy: bare_process(source, copy, tmp_path_factory.mktemp("stranger"))


@pytest.mark.process
def test_a_saved_model_loads_where_the_package_is_not(strangers, model, tokenizer, tmp_path):
    model.config.word_splitter = "unicode_words"
    model.config.temperature = 1.7
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
        assert said[task] == ["BiLSTMCRFPipeline", entities, *entities]
    for arguments in ARGUMENTS:
        assert said[str(arguments)] == tagger(TEXTS, **arguments)
    assert again == said
    for name in [*WITH_BERT, "config.json", "model.safetensors"]:
        assert (tmp_path / "third" / name).read_bytes() == (tmp_path / "first" / name).read_bytes(), name


def test_a_model_folder_holds_exactly_the_weights_the_configuration_and_the_shipped_files(model, tmp_path):
    model.save_pretrained(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["config.json", "model.safetensors", *WITH_BERT])


def test_the_pipeline_saves_the_same_files(model, tokenizer, tmp_path):
    BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer).save_pretrained(tmp_path)

    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", *WITH_BERT}


def test_the_configuration_names_every_way_in(model, tmp_path):
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())

    for reference in [*config["auto_map"].values(), *(info["impl"] for info in config["custom_pipelines"].values())]:
        module, name = reference.split(".")
        assert f"class {name}" in (tmp_path / f"{module}.py").read_text()
    assert config["model_type"] == BertBiLSTMCRFConfig.model_type


SUBCLASSES = """
from {configuration} import BertBiLSTMCRFConfig
from {modeling} import BertBiLSTMCRFForTokenClassification

class MyConfig(BertBiLSTMCRFConfig):
    shift: float = 0.0

class MyTagger(BertBiLSTMCRFForTokenClassification):
    config_class = MyConfig

    def emit(self, words, mask):
        return super().emit(words, mask) + self.config.shift
"""


@pytest.mark.process
def test_a_subclass_beside_the_files_that_travel_travels_with_them(strangers, model, tokenizer, tmp_path):
    """Somebody takes a tagger's folder and builds on its code."""
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "first")
    code = SUBCLASSES.format(configuration=".configuration_bert_crf", modeling=".modeling_bert_crf")
    (tmp_path / "first" / "my_tagger.py").write_text(code)
    config = json.loads((tmp_path / "first" / "config.json").read_text())
    names = {"AutoConfig": "my_tagger.MyConfig"}
    names |= dict.fromkeys(("AutoModel", "AutoModelForTokenClassification"), "my_tagger.MyTagger")
    (tmp_path / "first" / "config.json").write_text(json.dumps(config | {"auto_map": names, "shift": 0.5}))

    said = strangers(tmp_path / "first", tmp_path / "second")
    again = strangers(tmp_path / "second", tmp_path / "third")

    assert [said["config"], said["AutoModel"][0], said["ner"][0]] == ["MyConfig", "MyTagger", "BiLSTMCRFPipeline"]
    assert again == said
    for folder in ("second", "third"):
        saved = {path.name for path in (tmp_path / folder).iterdir()}
        assert saved == {path.name for path in (tmp_path / "first").iterdir()}
        config = json.loads((tmp_path / folder / "config.json").read_text())
        assert (config["auto_map"], config["shift"]) == (names, 0.5)


@pytest.fixture
def subclasses(tmp_path, monkeypatch):
    """Define them in a file of the user's, which imports the installed package."""
    file = tmp_path / "my_tagger.py"
    file.write_text(SUBCLASSES.format(configuration="modeling_bert_crf", modeling="modeling_bert_crf"))
    spec = importlib.util.spec_from_file_location("my_tagger", file)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "my_tagger", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("case", ["model", "configuration", "both", "main"])
def test_a_subclass_that_cannot_travel_is_refused_before_anything_is_written(subclasses, model, tmp_path, case):
    mine = subclasses.MyTagger if case in ("model", "both") else BertBiLSTMCRFForTokenClassification
    config = subclasses.MyConfig if case in ("configuration", "both") else BertBiLSTMCRFConfig
    if case == "main":
        mine = type("MyTagger", (mine,), {"__module__": "__main__"})
    other = mine(config(**model.config.to_dict()))
    name = "MyConfig" if case == "configuration" else "MyTagger"
    needed = "configuration_bert_crf" if case == "configuration" else "modeling_bert_crf"

    message = rf"the code of {name} must be able to travel .* as siblings \(`from \.{needed} import BertBiLSTMCRF.*"
    message += r", got (.*\.py|__main__)\. To save without code, set `_auto_class = None`"
    with pytest.raises(ValueError, match=message):
        other.save_pretrained(tmp_path / "out")
    if case == "configuration":
        with pytest.raises(ValueError, match=message):
            other.config.save_pretrained(tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_subclass_can_be_saved_without_code(subclasses, model, tmp_path):
    subclasses.MyTagger._auto_class = subclasses.MyConfig._auto_class = None
    other = subclasses.MyTagger(subclasses.MyConfig(**model.config.to_dict(), shift=0.5))

    other.save_pretrained(tmp_path / "out")

    assert {path.name for path in (tmp_path / "out").iterdir()} == {"config.json", "model.safetensors"}
    saved = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (saved["auto_map"], "custom_pipelines" in saved) == ({}, False)
    assert subclasses.MyTagger.from_pretrained(tmp_path / "out").config.shift == 0.5
    plain = AutoModelForTokenClassification.from_pretrained(tmp_path / "out")
    assert type(plain) is BertBiLSTMCRFForTokenClassification
    plain.save_pretrained(tmp_path / "plain")
    assert {path.name for path in (tmp_path / "plain").iterdir()} >= {*WITH_BERT}
    assert (
        json.loads((tmp_path / "plain" / "config.json").read_text())["auto_map"] == model.config.to_dict()["auto_map"]
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_import_only_what_every_user_has(name):
    """The standard library, torch, transformers, `regex`, which transformers requires, and siblings in the one form
    that the host finds. It does not ask for what stands in a `try`."""
    source = (PACKAGE / name).read_text()
    tree = ast.parse(source)
    for attempt in [node for node in ast.walk(tree) if isinstance(node, ast.Try)]:
        if any(
            isinstance(handler.type, ast.Name) and handler.type.id == "ImportError" for handler in attempt.handlers
        ):
            attempt.body.clear()
    assert "triton" not in get_imports(PACKAGE / name)
    for node in ast.walk(tree):
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
