"""Private names of the host libraries: all are listed with a reason, and the installed libraries have them."""

import ast
import importlib
import inspect
import re
from collections import defaultdict
from pathlib import Path

import pytest

import modeling_bert_crf
from modeling_bert_crf.doors.host import PRIVATE

PACKAGE = Path(modeling_bert_crf.__file__).parent
FILES = sorted(path for name in (PACKAGE.name, "bert_crf_command") for path in (PACKAGE.parent / name).rglob("*.py"))
HOSTS = ("accelerate", "datasets", "evaluate", "huggingface_hub", "torch", "transformers")
READERS = ("delattr", "get", "getattr", "hasattr", "pop", "setattr")
"""Calls that read or write an attribute by its name."""
OF_NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}
"""These are public, and have an underscore to tell them from fields."""


def is_private(name):
    return re.fullmatch(r"_[A-Za-z]\w*", name) is not None and name not in OF_NAMED_TUPLES


def place_of(path):
    return path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else PACKAGE.parent).as_posix()


TREES = {place_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def own_names(node):
    """Yield the names that a piece of our code defines: functions, classes, parameters, variables, attributes."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        if getattr(node.value, "id", "") in ("self", "cls"):
            yield node.attr
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "kwargs.pop":
        yield from (value.value for value in node.args[:1] if isinstance(value, ast.Constant))


def used_names(node):
    """Yield the names that a piece of our code asks somebody's object, function or module for."""
    if isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.keyword):
        yield node.arg or ""
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in READERS:
        values = (value.value for value in node.args if isinstance(value, ast.Constant))
        yield from (value for value in values if isinstance(value, str))


def overridden(place):
    """Yield the private names in a file's classes that override those of a host's class, with that class."""
    classes = {node.name: node for node in ast.walk(TREES[place]) if isinstance(node, ast.ClassDef) and node.bases}
    if not classes or place.endswith("__main__.py"):
        return
    parts = ((PACKAGE.parent if place.startswith("bert_crf_command") else PACKAGE) / place).relative_to(PACKAGE.parent)
    module = importlib.import_module(".".join(parts.with_suffix("").parts).removesuffix(".__init__"))
    for name, node in classes.items():
        bases = getattr(module, name, type).__mro__[1:]
        for one in {name for part in node.body for name in own_names_of_body(part) if is_private(name)}:
            owners = [base for base in bases if base.__module__.partition(".")[0] in HOSTS and has(base, one)]
            if owners:
                yield f"{owners[-1].__module__}.{owners[-1].__qualname__}.{one}"


def own_names_of_body(part):
    targets = [part.target] if isinstance(part, ast.AnnAssign) else getattr(part, "targets", [])
    yield from (target.id for target in targets if isinstance(target, ast.Name))
    if isinstance(part, ast.FunctionDef):
        yield part.name


def has(cls, name):
    return name in vars(cls) or name in inspect.get_annotations(cls)


@pytest.fixture(scope="module")
def found():
    """The files that use each private name of a host; those that override one have it under its full name."""
    files = defaultdict(set)
    for place in TREES:
        for name in overridden(place):
            files[name].add(place)
    own = {name for tree in TREES.values() for node in ast.walk(tree) for name in own_names(node)}
    own -= {name.rpartition(".")[2] for name in files}
    for place, tree in TREES.items():
        for name in (name for node in ast.walk(tree) for name in used_names(node)):
            if is_private(name) and name not in own:
                files[name].add(place)
    return files


def test_each_private_name_of_a_host_is_listed_and_no_other(found):
    listed = {name: set(entry.files) for name, entry in PRIVATE.items()}
    short = {name.rpartition(".")[2] for name in listed}

    missing = {name: files for name, files in found.items() if name not in listed and name not in short}
    unused = [name for name in listed if name not in found and name.rpartition(".")[2] not in found]

    assert missing == {}, "private names that doors/host.py lacks"
    assert unused == [], "names in doors/host.py that nothing uses"


def test_each_private_name_is_used_where_the_list_says(found):
    for name, entry in PRIVATE.items():
        files = found.get(name, set()) | found.get(name.rpartition(".")[2], set())

        assert files == set(entry.files), name


def resolve(name):
    """Return the object of a dotted name as far as there is one, its module, and the names that are left."""
    parts, left = name.split("."), []
    while True:
        try:
            module = thing = importlib.import_module(".".join(parts))
            break
        except ImportError:
            left.insert(0, parts.pop())
    while left and hasattr(thing, left[0]):
        thing = getattr(thing, left.pop(0))
    return thing, module, left


@pytest.mark.parametrize("name", PRIVATE)
def test_the_installed_host_has_the_name(name):
    thing, module, left = resolve(name)

    if left:  # a parameter, or what is only set on instances: the module says it
        assert len(left) == 1
        known = inspect.signature(thing).parameters if inspect.isfunction(thing) else inspect.getsource(module)
        assert left[0] in known
    else:
        parameters = PRIVATE[name].parameters
        if callable(thing):
            assert tuple(inspect.signature(thing).parameters)[: len(parameters)] == parameters
        else:
            assert parameters == ()


@pytest.mark.parametrize("name", PRIVATE)
def test_each_private_name_has_a_reason(name):
    assert PRIVATE[name].reason.endswith(".")
