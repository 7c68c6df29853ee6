"""What an installed package needs and has: its requirements, its files, its one version number."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

import modeling_bert_crf

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = ("modeling_bert_crf", "bert_crf_command")
EXTRAS = {
    "modeling_bert_crf/corpus": "ray",
    "modeling_bert_crf/demo": "demo",
    "modeling_bert_crf/export": "onnx",
    "modeling_bert_crf/serving": "serve",
}
"""Folders that may import what an extra brings."""
TRIED = {"modeling_bert_crf": {"triton"}}
"""What a folder imports if it is there, and does without if not."""
NEVER_IMPORTED = {"onnxscript": "torch.onnx asks for it"}


def usual(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names_of(requirements: list[str]) -> set[str]:
    return {usual(re.match(r"[\w.-]+", one)[0]) for one in requirements}


DECLARED = names_of(PROJECT["project"]["dependencies"])
IN_EXTRAS = {extra: names_of(PROJECT["project"]["optional-dependencies"][extra]) for extra in EXTRAS.values()}


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """The distributions that each folder imports, wherever in its files."""
    known = importlib.metadata.packages_distributions()
    found: dict[str, set[str]] = {}
    for path in [ROOT / "run_ner.py", *(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module]
            for name in {module.partition(".")[0] for module in modules} - {*sys.stdlib_module_names, *PACKAGES}:
                folder = path.parent.relative_to(ROOT).as_posix()
                found.setdefault(folder, set()).update(map(usual, known.get(name, [name])))
    return found


def test_every_import_is_declared(imported):
    lacking = {
        folder: names - DECLARED - IN_EXTRAS.get(EXTRAS.get(folder, ""), set()) - TRIED.get(folder, set())
        for folder, names in imported.items()
    }
    assert {folder: names for folder, names in lacking.items() if names} == {}


def test_every_requirement_is_imported_or_has_a_reason(imported):
    everything = set.union(DECLARED, *IN_EXTRAS.values())
    assert everything - set.union(*imported.values()) == {*NEVER_IMPORTED}


def test_every_file_that_is_no_code_is_in_the_wheel():
    packed = PROJECT["tool"]["setuptools"]["package-data"]
    for name in PACKAGES:
        files = {path.relative_to(ROOT / name).as_posix() for path in (ROOT / name).rglob("*") if path.is_file()}
        others = {file for file in files if not file.endswith((".py", ".pyc"))}
        assert "py.typed" in others
        assert {file for file in others if not any(fnmatch(file, glob) for glob in packed[name])} == set()
        assert [glob for glob in packed[name] if not list((ROOT / name).glob(glob))] == []


def test_the_version_stands_in_one_place():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"] == {"version": {"attr": "modeling_bert_crf.__version__"}}
    assert re.fullmatch(r"\d+\.\d+\.\d+", modeling_bert_crf.__version__)
