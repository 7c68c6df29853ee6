"""What the README promises: its examples run, and its commands are those of the continuous integration."""

import importlib
import re
from pathlib import Path

import pytest
import transformers
from conftest import WORDS

import modeling_bert_crf
from modeling_bert_crf import BertBiLSTMCRFPipeline

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.S)


def test_the_examples_run(encoder_folder, tokenizer, tmp_path, monkeypatch):
    (tmp_path / "train.conll").write_text("".join(f"{word}\tO\n" for word in WORDS))
    monkeypatch.chdir(tmp_path)
    loaded = transformers.pipeline

    def load(task, model, trust_remote_code):
        """The host's `pipeline` would run the code in the folder; here the package is the same."""
        assert trust_remote_code
        return BertBiLSTMCRFPipeline(
            model=transformers.AutoModelForTokenClassification.from_pretrained(model),
            tokenizer=transformers.AutoTokenizer.from_pretrained(model),
            task=task,
        )

    names = {}
    for block in BLOCKS:
        if "runs/mine" in block:
            names["model"].save_pretrained("runs/mine")
            tokenizer.save_pretrained("runs/mine")
            monkeypatch.setattr(transformers, "pipeline", load)
        exec(block.replace("google-bert/bert-base-cased", str(encoder_folder)), names)
        monkeypatch.setattr(transformers, "pipeline", loaded)

    assert names["paths"].shape[0] == 1
    assert len(names["train"]) == 1
    assert isinstance(names["trainer"], transformers.Trainer)


def test_the_first_example_is_six_lines():
    assert len(BLOCKS[0].splitlines()) <= 6


def test_integration_runs_the_test_command_of_the_readme():
    (command,) = re.findall(r"^pip install -e '\.\[dev\]' && (.*)$", README, flags=re.M)
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == command


def test_the_tables_are_those_of_the_runs(monkeypatch):
    """But for intervals, and the bold type that they decide on, which take longer."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    table = importlib.import_module("accuracy_table")
    monkeypatch.setattr(table, "ROUNDS", 9)
    plain = re.compile(r" \([+-].*?\)|\*\*")
    for name, drawn in table.readme_tables().items():
        written = README.split(f"<!-- {name} -->")[1].split("<!-- end -->")[0].strip()
        assert plain.sub("", written) == plain.sub("", drawn)


def test_the_drawing_of_the_house_names_every_file_and_room():
    tree = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("```")[1]
    for room in (path for path in (ROOT / "modeling_bert_crf").iterdir() if (path / "__init__.py").exists()):
        assert f"  {room.name}/ " in tree
    for path in (ROOT / "modeling_bert_crf").glob("*.py"):
        is_family = path.name.startswith("modeling_") and path.name != "modeling_crf.py"
        assert path.name == "__init__.py" or is_family or path.name in tree


def test_the_table_of_encoders_names_every_family():
    table = README.split("<!-- encoders -->")[1].split("<!-- end -->")[0]
    assert set(re.findall(r"^\| `([\w-]+)`", table, flags=re.M)) == modeling_bert_crf.FAMILIES.keys()


def test_the_public_surface_is_what_the_package_declares():
    for name in modeling_bert_crf.__all__:
        assert getattr(modeling_bert_crf, name) is not None
    kinds = ("Config", "ForTokenClassification")
    classes = {f"{one}BiLSTMCRF{kind}" for one in modeling_bert_crf.FAMILIES.values() for kind in kinds}
    assert classes < {*modeling_bert_crf.__all__}
    with pytest.raises(AttributeError, match="has no attribute 'LlamaBiLSTMCRFConfig'"):
        modeling_bert_crf.LlamaBiLSTMCRFConfig  # noqa: B018
