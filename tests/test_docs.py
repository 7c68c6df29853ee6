"""What the docs show is what happens: each block of a page runs, in order, and prints what the page says it prints.

A page's blocks run in a folder of its own, where `bert-crf train demo` has run before; `train.conll`, `dev.conll` and
`test.conll` are the demo's files there:

    ```console      commands behind `$ `, each with what it prints below; `...` stands for any lines
    ```bash         commands; what they print does not matter
    ```python       runs in one process with the page's other blocks of Python; a block ```text right behind it is what
                    it prints

Numbers are not compared, since they differ between machines. The Hub is out of reach, so checkpoints that are named in
the docs are replaced by local ones (see `STAND_INS`). A block behind `<!-- not run: REASON -->` does not run.
"""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from transformers import AutoTokenizer, BertForTokenClassification
from transformers.utils import logging

from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.readers.tags import find_labels
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]
FENCE = re.compile(
    r"^(?P<mark><!-- not run: [^\n]+ -->\n)?(?P<dent> *)```(?P<kind>\w+)\n(?P<body>.*?)^ *```$", re.M | re.S
)
STAND_INS = {"google-bert/bert-base-cased": "runs/demo/input/encoder", "dslim/bert-base-NER": "stock"}
"""Checkpoints of the Hub, and what is tried in their place."""

pytestmark = pytest.mark.slow


class Block(NamedTuple):
    """A fenced block of a page."""

    kind: str
    body: str
    line: int
    runs: bool


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for one in FENCE.finditer(text):
        body = re.sub(rf"^{one['dent']}", "", one["body"], flags=re.M)
        line = text.count("\n", 0, one.start("body"))
        found.append(Block(one["kind"], body, line, one["mark"] is None))
    return found


def with_stand_ins(text: str) -> str:
    """Name local checkpoints in place of the Hub's, and show what `tag` shows on a terminal."""
    for name, local in STAND_INS.items():
        text = text.replace(name, local)
    if text.startswith("bert-crf tag ") and not re.search(r"--format|--output|\||>", text):
        text += " --format terminal"
    return text


def matches(expected: str, printed: str) -> bool:
    """Say whether what was printed is what is expected, numbers and the widths of blanks aside."""

    def plain(text: str) -> list[str]:
        return [" ".join(re.sub(r"\d+([.,]\d+)*", "0", line).split()) for line in text.strip().splitlines()]

    pattern = "\n".join("(?:.*\n)*?.*" if line == "..." else re.escape(line) for line in plain(expected))
    return re.fullmatch(pattern, "\n".join(plain(printed))) is not None


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder where the demo has run, and a stock tagger stands beside it."""
    folder = tmp_path_factory.mktemp("docs")
    run("bert-crf train demo", folder)
    make_stock_tagger(folder / "runs/demo/input", folder / "stock")
    for name, part in (("train", "train"), ("dev", "validation"), ("test", "test")):
        shutil.copy(folder / f"runs/demo/input/{part}.conll", folder / f"{name}.conll")
    (folder / "letters.txt").write_text("Brond Tair moved to Zask .\n")
    return folder


def make_stock_tagger(corpus: Path, folder: Path) -> None:
    """Train a stock token classifier on the demo's corpus, word by word."""
    sentences = read_conll(corpus / "train.conll")
    labels = find_labels(sentences, "IOB2")
    tokenizer = AutoTokenizer.from_pretrained(corpus / "encoder")
    rows = TaggingDataset(sentences, tokenizer, labels)
    torch.manual_seed(0)
    names = dict(enumerate(labels))
    model = BertForTokenClassification.from_pretrained(
        corpus / "encoder", id2label=names, label2id={name: index for index, name in names.items()}
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batches = torch.utils.data.DataLoader(rows, 16, shuffle=True, collate_fn=TaggingCollator(tokenizer.pad_token_id))
    for _ in range(8):
        for batch in batches:
            inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}
            optimizer.zero_grad()
            model(**inputs).loss.backward()
            optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def run(command: str, folder: Path) -> str:
    """Run a command in a folder; return what it prints. It must end well."""
    environment = {**os.environ, "COLUMNS": "120", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", with_stand_ins(command)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def commands_of(body: str) -> list[tuple[str, str]]:
    """Return the commands of a console block, with what each prints."""
    parts = re.split(r"^\$ ", body, flags=re.M)
    assert not parts[0].strip(), f"a block of commands must begin with a command, got {parts[0]!r}"
    found = []
    for part in parts[1:]:
        lines = part.splitlines()
        count = next(index for index, line in enumerate(lines) if not line.endswith("\\")) + 1
        found.append(("\n".join(lines[:count]), "\n".join(lines[count:])))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_happens(page, demo, tmp_path, monkeypatch):
    folder = tmp_path / "here"
    shutil.copytree(demo, folder)  # what one page leaves is not there for the next
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(ROOT))
    logging.disable_progress_bar()
    names: dict[str, object] = {"__name__": "__main__"}
    blocks = blocks_of(page)
    for block, following in zip_longest(blocks, blocks[1:]):
        place = f"{page.name}:{block.line}"
        if not block.runs:
            continue
        if block.kind == "console":
            for command, expected in commands_of(block.body):
                printed = run(command, folder)
                assert matches(expected, printed), f"{place}: {command}\nprinted\n{printed}"
        elif block.kind == "bash":
            run(block.body, folder)
        elif block.kind == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(with_stand_ins(block.body), place, "exec"), names)
            if following is not None and following.kind == "text":
                assert matches(following.body, out.getvalue()), f"{place} printed\n{out.getvalue()}"


def test_blocks_are_of_kinds_that_are_looked_at():
    for page in DOCS:
        fences = page.read_text(encoding="utf-8").count("```")
        assert fences == 2 * len(blocks_of(page)), f"{page.name}: a block names no kind"
        for block in blocks_of(page):
            assert block.kind in ("console", "bash", "python", "text", "json", "yaml", "mermaid"), (
                page.name,
                block.line,
            )


def test_each_test_that_the_docs_name_is_there():
    known = {
        name for file in (ROOT / "tests").glob("*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    files = {file.stem for file in (ROOT / "tests").glob("*.py")}
    named = {name for page in PAGES for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))}
    assert len(named) > 15
    assert named <= {*known, *files}


def test_each_page_is_in_the_navigation():
    contents = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert {page.name for page in DOCS} == set(re.findall(r"(\S+\.md)", contents))


def test_the_comparison_tells_outputs_apart():
    assert matches("F1 0.95 of\n...\nend", "F1  0.91 of\nany\nlines\nend\n")
    assert matches("F1\n...", "F1\nany\nlines")
    assert not matches("F1\n...\nend", "F1\nany\nlines")
    assert not matches("F1 0.95", "recall 0.95")
    assert not matches("one", "one\ntwo")
    assert not matches("(one)", "one")
