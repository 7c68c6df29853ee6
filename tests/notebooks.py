"""The notebooks of the docs, run: `python tests/notebooks.py [NAME ...]` writes what they print today into them.

They run in an empty folder, each in a kernel of its own, with the Hub's double in the Hub's place.
"""

import os
import re
import sys
import tempfile
from pathlib import Path
from unittest import mock

import nbformat
from hub import WRITER, Hub
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def run(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Run a notebook's cells in a folder, as who has logged in to the Hub; return it with what they print.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    hub, result = Hub(), nbformat.from_dict(notebook)
    environment = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": WRITER,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(folder / "hf"),
    }
    environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment |= {"TRANSFORMERS_VERBOSITY": "error", "COLUMNS": "120"}
    environment |= {"PYTHONWARNINGS": "ignore:IProgress not found"}  # of tqdm, where there are no widgets
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    written = [cell.source for cell in result.cells]
    for cell in result.cells:
        cell.source = cell.source.replace('"me/', '"tester/')  # the double knows nobody else
    (folder / "work").mkdir()
    with mock.patch.dict(os.environ, environment):
        NotebookClient(result, timeout=300, resources={"metadata": {"path": str(folder / "work")}}).execute()
    hub.shutdown()
    hub.server_close()
    for cell, source in zip(result.cells, written, strict=True):
        cell.source = source
        cell.metadata.pop("execution", None)  # clock times, which differ with every run
    return result


def printed(cell: nbformat.NotebookNode) -> str:
    """Return the text that a cell has printed or shown; what it wrote on standard error has a mark before it."""
    parts = []
    for output in cell.get("outputs", []):
        text = output["text"] if "text" in output else output.get("data", {}).get("text/plain", "")
        parts.append(f"[stderr] {text}" if output.get("name") == "stderr" else text)
    return re.sub(r"\x1b\[[0-9;]*m", "", "".join(parts))


if __name__ == "__main__":
    for path in (path for path in NOTEBOOKS if path.stem in sys.argv[1:] or not sys.argv[1:]):
        with tempfile.TemporaryDirectory() as name:
            nbformat.write(run(nbformat.read(path, 4), Path(name)), path)
