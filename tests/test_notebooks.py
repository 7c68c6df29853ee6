"""The notebooks of the docs run, print what is stored in them, and hold nothing of a machine."""

import re

import nbformat
import pytest
from notebooks import NOTEBOOKS, ROOT, printed, run
from test_docs import matches

BOOKS = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.mark.slow
@BOOKS
def test_a_notebook_prints_what_is_stored_in_it(path, tmp_path):
    stored = nbformat.read(path, 4)
    for number, (before, after) in enumerate(zip(stored.cells, run(stored, tmp_path).cells, strict=True)):
        assert matches(printed(before), printed(after)), f"{path.name}, cell {number} printed\n{printed(after)}"


@BOOKS
def test_a_notebook_holds_its_outputs_and_nothing_of_a_machine(path):
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    text = "\n".join(map(printed, cells))
    assert len(text.splitlines()) >= 20
    assert re.findall(r"\[stderr\]|\w+Warning:|Traceback|/(?:home|root|tmp|usr|work|Users)/|127\.0\.0\.1", text) == []


def test_readme_and_docs_lead_to_every_notebook():
    for page, folder in (("README.md", "docs/notebooks"), ("docs/index.md", "notebooks")):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert [path.name for path in NOTEBOOKS if f"({folder}/{path.name})" not in text] == []
