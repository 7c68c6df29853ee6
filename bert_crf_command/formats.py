"""What the verbs that find entities read and write: their options, and how a file's ending names its format."""

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from .frame import say

if TYPE_CHECKING:  # since importing these takes seconds
    from modeling_bert_crf import BiLSTMCRFPipeline

    from .outputs import Result

__all__ = [
    "Column",
    "Consistent",
    "Format",
    "Input",
    "InputFormat",
    "Output",
    "OutputFormat",
    "format_of_input",
    "format_of_output",
    "write_found",
]

_ENDINGS = {".txt": "txt", ".jsonl": "", ".json": "", ".conll": "conll", ".conllu": "conll", ".tsv": "conll"}
_ENDINGS |= dict.fromkeys((".ann", ".xml", ".spacy", ".pubtator", ".parquet"), "")  # what the content shows
_OUTPUT_ENDINGS = {".jsonl": "jsonl", ".json": "jsonl", ".conll": "conll", ".tsv": "conll", ".html": "html"}


class InputFormat(StrEnum):
    """What a file may hold."""

    TXT = "txt"
    JSONL = "jsonl"
    CONLL = "conll"
    ARGILLA = "argilla"
    BIOC = "bioc"
    BRAT = "brat"
    GLINER = "gliner"
    LABEL_STUDIO = "label-studio"
    PUBTATOR = "pubtator"
    SPACY = "spacy"


class OutputFormat(StrEnum):
    """What entities may be written as."""

    TERMINAL = "terminal"
    JSONL = "jsonl"
    CONLL = "conll"
    HTML = "html"
    LABEL_STUDIO = "label-studio"
    DOCCANO = "doccano"
    BRAT = "brat"
    PRODIGY = "prodigy"
    SPACY = "spacy"
    DOCBIN = "docbin"
    GLINER = "gliner"
    PUBTATOR = "pubtator"
    REDACTED = "redacted"
    PARQUET = "parquet"


Input = Annotated[
    InputFormat | None, typer.Option("--input_format", help="What files hold, if not what their ending says.")
]
Column = Annotated[
    str | None,
    typer.Option(
        "--column",
        metavar="COLUMN",
        help="The column of the text or its words, `text`, `tokens` or `words` if not given; "
        "the number of a CoNLL file's column of words, from 0.",
    ),
]
Format = Annotated[
    OutputFormat | None,
    typer.Option(
        "--format",
        help="What is written. If not given, what the ending of --output says; else `terminal` on a terminal, "
        "`jsonl` elsewhere. Of a job `parquet` or `jsonl`; if not given, `parquet` if all inputs have typed columns.",
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="A file instead of standard output; whole or not at all. With a slash at its end the folder of a job.",
    ),
]
Consistent = Annotated[
    bool,
    typer.Option(
        "--consistent",
        help="For `redacted`: [PER-1] and so on, the same for the same text within a document, instead of [PER].",
    ),
]


def format_of_input(path: str, asked: InputFormat | None) -> str:
    if asked is not None:
        return asked.value
    form = "txt" if path == "-" else _ENDINGS.get(Path(path).suffix.lower())
    if form is None and Path(path).is_dir():
        return InputFormat.BRAT.value
    if form is None:
        raise typer.BadParameter(
            f"{path}: must end in {', '.join(_ENDINGS)}, or --input_format must say what it holds"
        )
    return form


def format_of_output(path: Path | None, asked: OutputFormat | None) -> str:
    if asked is OutputFormat.PARQUET:
        raise typer.BadParameter("--format parquet is for a job of bert-crf tag, whose output is a folder")
    if asked is not None:
        return asked.value
    if path is not None:
        return _OUTPUT_ENDINGS.get(path.suffix.lower(), "jsonl")
    return "terminal" if sys.stdout.isatty() else "jsonl"


def write_found(
    results: "Iterator[Result]", tagger: "BiLSTMCRFPipeline", form: str, output: Path | None, consistent: bool
) -> None:
    """Write what is found; say on the terminal how many texts are done, unless the results appear there."""
    from modeling_bert_crf.doors.terminal import Screen
    from modeling_bert_crf.schemes import entity_types
    from modeling_bert_crf.writers.formats import Options

    from .outputs import documents_of, output_file, write_conll, write_jsonl, write_labelled
    from .page import write_page
    from .terminal import write_terminal

    if sys.stderr.isatty() and not (output is None and sys.stdout.isatty()):
        results = _watched(results)
    writers = {"terminal": write_terminal, "jsonl": write_jsonl, "conll": write_conll, "html": write_page}
    if form not in writers:
        config = tagger.model.config
        kinds = dict.fromkeys(entity_types(config.labels, config.span_scheme))
        model = f"bert-crf {Path(tagger.model.name_or_path or '').name}"
        second = write_labelled(documents_of(results), form, output, Options(kinds, model, consistent))
        if second is not None:
            say(f"{second}: the labelling configuration of these tasks", err=True)
        return
    # JSON can write half a character, which other columns of a JSON line may hold.
    with output_file(output, errors="backslashreplace" if form == "jsonl" else "strict") as file:
        is_data = form != "terminal" and file.isatty()
        writers[form](results, tagger, cast(Any, Screen(file) if is_data else file))


def _watched(results: Iterator[Any]) -> Iterator[Any]:
    """Pass results on, and count them on the terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,} texts"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(results, total=None)
