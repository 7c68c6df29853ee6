"""What the README promises: its examples run, and its commands are those of the continuous integration."""

import importlib
import re
from pathlib import Path

import pytest

import modeling_bert_crf

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}


def test_it_is_short():
    assert len(README.encode()) <= 9000


def test_its_links_lead_somewhere():
    for name, text in {"README.md": README, **{f"docs/{name}.md": text for name, text in DOCS.items()}}.items():
        for target in re.findall(r"\]\(([^)#]+)", text):
            if "://" not in target:
                assert ((ROOT / name).parent / target).exists(), f"{name}: {target}"


def test_integration_runs_the_test_command_of_the_readme():
    (command,) = re.findall(r"^pip install -e '\.\[dev\]' && (.*)$", README, flags=re.M)
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == command


def test_the_tables_are_those_of_the_runs(monkeypatch):
    """But for intervals, and the bold type that they decide on, which take longer."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    table = importlib.import_module("accuracy_table")
    monkeypatch.setattr(table, "ROUNDS", 9)
    plain = re.compile(r" \([+-].*?\)|\*\*")
    for name, drawn in table.docs_tables().items():
        written = DOCS["benchmarks"].split(f"<!-- {name} -->")[1].split("<!-- end -->")[0].strip()
        assert plain.sub("", written) == plain.sub("", drawn)


def test_the_drawing_of_the_house_names_every_file_and_room():
    tree = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("```")[1]
    for room in (path for path in (ROOT / "modeling_bert_crf").iterdir() if (path / "__init__.py").exists()):
        assert f"  {room.name}/ " in tree
    for path in (ROOT / "modeling_bert_crf").glob("*.py"):
        is_family = path.name.startswith("modeling_") and path.name != "modeling_crf.py"
        assert path.name == "__init__.py" or is_family or path.name in tree


def test_the_table_of_encoders_names_every_family():
    table = DOCS["encoders"].split("<!-- encoders -->")[1].split("<!-- end -->")[0]
    assert set(re.findall(r"^\| `([\w-]+)`", table, flags=re.M)) == modeling_bert_crf.FAMILIES.keys()


def test_the_public_surface_is_what_the_package_declares():
    for name in modeling_bert_crf.__all__:
        assert getattr(modeling_bert_crf, name) is not None
    kinds = ("Config", "ForTokenClassification")
    classes = {f"{one}BiLSTMCRF{kind}" for one in modeling_bert_crf.FAMILIES.values() for kind in kinds}
    assert classes < {*modeling_bert_crf.__all__}
    with pytest.raises(AttributeError, match="has no attribute 'LlamaBiLSTMCRFConfig'"):
        modeling_bert_crf.LlamaBiLSTMCRFConfig  # noqa: B018
