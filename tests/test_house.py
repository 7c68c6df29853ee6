"""The structure of the code: which room may know which, and how long and how tangled a function may be."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
PACKAGES = ("modeling_bert_crf", "bert_crf_command")
FILES = sorted(path for package in PACKAGES for path in (TOP / package).rglob("*.py"))

# Each room, and those that it may know: rooms further up in this table, so that no arrow runs back.
ROOMS = {
    "doors": [],
    "core": [],
    "hub": ["doors"],
    "opening": ["core", "hub"],
    "readers": ["core", "doors"],
    "writers": ["core", "doors", "readers"],
    "corpus": ["core", "doors", "opening", "readers"],
    "scores": ["core", "readers"],
    "fitting": ["core", "readers", "scores"],
    "pages": ["doors"],
    "diagnosis": ["core", "pages", "readers"],
    "reports": ["core", "doors", "pages", "readers", "scores"],
    "training": ["core", "doors", "hub", "opening", "readers", "scores"],
    "suggestions": ["core", "fitting", "opening", "pages", "readers", "training"],
    "export": ["core", "doors", "scores"],
    "demo": ["core", "doors", "hub", "pages"],
    "serving": ["core"],
    "command": [
        "core",
        "corpus",
        "demo",
        "diagnosis",
        "doors",
        "export",
        "fitting",
        "hub",
        "opening",
        "pages",
        "readers",
        "reports",
        "scores",
        "serving",
        "suggestions",
        "training",
        "writers",
    ],
}
# What travels with a checkpoint finds these by name, and only where the package is installed.
BY_NAME = {("core", "hub"), ("core", "opening")}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    package, *rest = module.split(".")
    if package == "bert_crf_command":
        return "command"
    wing = TOP / package / rest[0] if rest else TOP
    return rest[0] if rest and wing.is_dir() else "core"


MODULES = {module_of(path): path for path in FILES}


def imports_of(module: str) -> Iterator[tuple[str, bool]]:
    """Yield the modules of ours that a module imports, anywhere in it, and whether it is by name."""
    path = MODULES[module]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            base = package.split(".")[: len(package.split(".")) - max(node.level - 1, 0)] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for name in node.names:
                full = f"{source}.{name.name}"
                if full in MODULES or source in MODULES:
                    yield full if full in MODULES else source, False
        elif isinstance(node, ast.Import):
            yield from ((name.name, False) for name in node.names if name.name in MODULES)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            name = getattr(node.args[0], "value", None)  # a family's name is put together
            if isinstance(name, str) and name.partition(".")[0] in PACKAGES:
                yield name, True


def test_a_room_knows_those_that_the_table_names_and_no_other():
    found = {
        (room_of(module), room_of(other)) for module in MODULES for other, by_name in imports_of(module) if not by_name
    }

    arrows = {(room, other) for room, others in ROOMS.items() for other in others}

    assert {(one, other) for one, other in found if one != other} == arrows
    assert {room_of(module) for module in MODULES} == set(ROOMS)


def test_no_arrow_runs_back_up():
    order = list(ROOMS)

    assert [(room, other) for room in order for other in ROOMS[room] if order.index(other) >= order.index(room)] == []


def test_what_travels_finds_two_rooms_by_name():
    names = [(module, other) for module in MODULES for other, by_name in imports_of(module) if by_name]

    assert {(room_of(module), room_of(other)) for module, other in names if other != "modeling_bert_crf"} == BY_NAME
    assert all(other in MODULES for _, other in names)


def test_no_circle_of_modules():
    graph = {module: {other for other, by_name in imports_of(module) if not by_name} for module in MODULES}

    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


LONGEST = 60
# Longer ones, and why.
LONG = {
    "modeling_bert_crf/crf_kernels.py:_expectation_kernel": "its parameters are 22 lines: a kernel takes no tuples"
}


def functions() -> Iterator[tuple[str, int]]:
    """Yield each function by its place, and its lines without its docstring."""
    for path in [*FILES, TOP / "run_ner.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                said = node.body[0].end_lineno - node.body[0].lineno + 1 if ast.get_docstring(node) else 0
                yield f"{path.relative_to(TOP).as_posix()}:{node.name}", node.end_lineno - node.lineno + 1 - said


def test_no_function_is_longer_than_a_screen():
    long = {place for place, lines in functions() if lines > LONGEST}

    assert long == set(LONG)


@pytest.mark.parametrize("room", [*sorted({*ROOMS} - {"core", "command"}), "command"])
def test_a_room_says_at_its_top_what_each_of_its_files_holds(room):
    folder = TOP / ("bert_crf_command" if room == "command" else f"modeling_bert_crf/{room}")
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""

    files = {path.name for path in folder.glob("*.py") if not path.name.startswith("__")}

    assert {name for name in files if name not in said} == set()
