"""`bert-crf tag`: texts in, entities out."""

import sys
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from .frame import CommandError, Model, Revision, Verbose, in_one_sentence, reason, say, verb
from .job import JobOptions, Longest, OnBadRow, OnError, Processes, ShardRows, StartOver

if TYPE_CHECKING:  # since importing these takes seconds
    import torch

    from modeling_bert_crf import BiLSTMCRFPipeline

    from .outputs import Result

__all__ = ["COMMAND", "Decoding", "InputFormat", "OutputFormat", "tag"]

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


class Decoding(StrEnum):
    """The tagging that is looked for."""

    VITERBI = "viterbi"
    MARGINAL = "marginal"


Texts = Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Texts, in quotes. `-` is standard input.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="PATH",
        help="A file, or files by a pattern such as 'docs/*.parquet'; as often as you like. `-` is standard input. "
        "For a job also a folder, the name of a data set, or s3://... and the like.",
    ),
]
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
Threshold = Annotated[float, typer.Option(min=0, max=1, help="Leave out entities that are less probable.")]
Search = Annotated[
    Decoding,
    typer.Option(
        help="`viterbi`: the most probable tagging. `marginal`: the one with the most right tags to be expected."
    ),
]
Point = Annotated[
    str | None,
    typer.Option(
        "--operating_point",
        metavar="NAME",
        help="One of the model's operating points, as `bert-crf threshold` stores them, instead of the one in force.",
    ),
]
BatchSize = Annotated[
    int | None, typer.Option("--batch_size", min=1, help="Windows of text that the encoder reads at once.")
]
Device = Annotated[
    str | None,
    typer.Option(help="`cpu`, `cuda:1`, `mps` ...; if not given, a GPU where there is one."),
]

HELP = """\
Find the entities of texts, with their probabilities.

[bold]bert-crf tag runs/mine "Ada wrote to Babbage."[/bold]
[bold]bert-crf tag runs/mine --input notes.txt --input more.jsonl --output notes.html[/bold]
[bold]zcat news.txt.gz | bert-crf tag runs/mine > entities.jsonl[/bold]
[bold]bert-crf tag runs/mine --input 'docs/*.parquet' --column body --output tagged/[/bold]

The model runs on this package's own code: Python files beside the weights are not executed.

[bold]In:[/bold] without TEXT and --input, standard input.

[cyan].txt[/cyan], and standard input: a text a line.
[cyan].jsonl .json[/cyan]: an object a line, or an array of objects, with a text or a list of words;
or what Label Studio, Argilla, spaCy, GLiNER and BioC write. Their annotations are not read.
[cyan]known[/cyan] in an object says what is certain, a list of \\[start, end, type], of \\[start, end, \\[types]]
of which one is right, and of \\[start, end, "O"] where no entity is: the rest is found given that.
[cyan].ann .xml .spacy .pubtator .parquet[/cyan], and folders of brat's: their texts.
[cyan].conll .tsv .conllu[/cyan]: a word a line, an empty line after a sentence,
`-DOCSTART-` between documents. A last column of tags is not read, and
stands unchanged before the new tags in CoNLL output.

[bold]Out:[/bold] any number of texts in bounded memory, except for HTML, and for words
and a model that reads context: it reads a document, or a file without borders, whole.

[cyan]terminal[/cyan]: entities in colour; in brackets where there is none, or NO_COLOR is set.
[cyan]jsonl[/cyan]: an object a line: what the input said, `text`, and `entities`: each an
`entity_group`, `score`, `word`, and `start` and `end` in characters of `text`.
[cyan]conll[/cyan]: word and tag, an empty line after a sentence. If a word holds a tab or
a line break, its sentence is written in JSON strings, and a comment says so.
[cyan]html[/cyan]: one page that needs nothing else and runs no script.
[cyan]label-studio[/cyan]: tasks with predictions to correct; PATH.xml is the labelling configuration.
[cyan]doccano prodigy[/cyan]: an object a line, with labels to correct.
[cyan]brat[/cyan]: a new folder, with two files for each text.
[cyan]spacy gliner[/cyan]: a JSON array, to train those. [cyan]docbin[/cyan]: what `spacy train` reads; needs spaCy.
[cyan]pubtator[/cyan]: texts of one or two lines, a title and an abstract.
[cyan]redacted[/cyan]: the texts, with \\[TYPE] in the place of each entity, and nothing else.
In these, sentences of columns with `-DOCSTART-` before them are one text.

[bold]A job:[/bold] if --output ends in a slash, is a folder, or is elsewhere (s3://...), a corpus is tagged
in shards. Each file `part-...` of the folder is whole or absent, and the same command goes on with a
job that was ended in any way; on one that is finished it does nothing. Each row is tagged by itself.

In: parquet, JSON lines, texts, CSV (these three also as .gz and .zst), and data sets by their name
or the folder that `save_to_disk` wrote. All columns are kept. [cyan]entities[/cyan] is a column more: a list of
`entity_group`, `score`, `word`, `start`, `end`.
A bad row is named in `_job/errors.jsonl`, and has no `entities` in its shard; what is
no row at all, such as a line that is not JSON, stands there only.

[bold]Exit codes:[/bold]

[cyan]0[/cyan] done.
[cyan]1[/cyan] an input, the model or the output is at fault, and one sentence says how;
or the program that reads the output has ended.
[cyan]2[/cyan] the command is wrong.
[cyan]130[/cyan] stopped by Ctrl-C; [cyan]143[/cyan] by SIGTERM. PATH is then as it was before.
"""


def tag(
    model: Model,
    texts: Texts = None,
    files: Inputs = None,
    input_format: Input = None,
    column: Column = None,
    output_format: Format = None,
    output: Output = None,
    consistent: Consistent = False,
    threshold: Threshold = 0.0,
    decoding: Search = Decoding.VITERBI,
    operating_point: Point = None,
    batch_size: BatchSize = None,
    device: Device = None,
    on_error: OnError = None,
    longest: Longest = None,
    shard_rows: ShardRows = None,
    processes: Processes = None,
    start_over: StartOver = False,
    revision: Revision = None,
    verbose: Verbose = False,
) -> None:
    """Find the entities of texts, as `HELP` says."""
    job = JobOptions(longest, shard_rows, processes, start_over)
    options = {"threshold": threshold, "decoding": decoding.value, "operating_point": operating_point}
    options |= {"batch_size": batch_size}
    if job.is_meant(output, output_format, texts or [], files or [], input_format):
        order = (files or [], output or "", output_format, column, options, on_error is OnBadRow.FAIL)
        job.run((model, revision, device), *order, partial(_opened, model, revision, device, operating_point), verbose)
        return
    texts, files = _sources(texts or [], files or [])
    inputs = [(path, _input_format(path, input_format)) for path in files]
    path = None if output is None else Path(output)
    form = _output_format(path, output_format)
    if consistent and form != OutputFormat.REDACTED:
        raise typer.BadParameter(f"--consistent is for --format redacted, got {form}")
    skip = _leave_out if on_error is OnBadRow.SKIP else None

    from modeling_bert_crf.opening.tagger import OpeningError
    from modeling_bert_crf.readers.sentences import DataError

    from .inputs import check_readable, read_items
    from .outputs import check_output, find_entities

    with in_one_sentence("tag", DataError, OpeningError, verbose=verbose):
        check_readable(files)
        check_output(form, path)
        tagger = _opened(model, revision, device, operating_point)
        results = find_entities(tagger, read_items(texts, inputs, column, skip), **options)
        _write(results, tagger, form, path, consistent)


def _leave_out(error: Exception) -> None:
    say(f"bert-crf tag: left out: {error}", err=True)


def _opened(model: str, revision: str | None, device: str | None, point: str | None) -> "BiLSTMCRFPipeline":
    """Open a tagger, and check whether it has an operating point of this name."""
    from modeling_bert_crf.opening.tagger import open_tagger

    tagger = open_tagger(model, revision, None if device is None else _device(device))
    if point is not None:
        _check_point(tagger, model, point)
    return tagger


def _check_point(tagger: "BiLSTMCRFPipeline", model: str, name: str) -> None:
    try:
        tagger.model.config.point(name)
    except ValueError as error:
        raise CommandError(f"{model}: {error}") from None


def _sources(texts: list[str], files: list[str]) -> tuple[list[str], list[str]]:
    """Part what was given into texts and files. Standard input is a file; it is read where nothing else is given."""
    files = [file for pattern in files for file in _matching(pattern)]
    files = [*(text for text in texts if text == "-"), *files] or ([] if texts else ["-"])
    texts = [text for text in texts if text != "-"]
    if files.count("-") > 1:
        raise typer.BadParameter("standard input can be read once only")
    if not texts and files == ["-"] and sys.stdin.isatty():
        raise typer.BadParameter("give a TEXT, an --input, or something on standard input")
    if (file := next(filter(_is_file, texts), None)) is not None:
        raise typer.BadParameter(f"{file} is a file: write --input {file}")
    return texts, files


def _matching(pattern: str) -> list[str]:
    """Return the files that a pattern means; a name that is no pattern, as it is."""
    if not has_magic(pattern) or Path(pattern).exists():
        return [pattern]
    if found := sorted(glob(pattern, recursive=True)):
        return found
    raise typer.BadParameter(f"{pattern}: must match at least one file, got none")


def _is_file(text: str) -> bool:
    return len(text) < 256 and "\0" not in text and Path(text).is_file()


def _write(
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


def _input_format(path: str, asked: InputFormat | None) -> str:
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


def _output_format(path: Path | None, asked: OutputFormat | None) -> str:
    if asked is OutputFormat.PARQUET:
        raise typer.BadParameter("--format parquet is for a job of bert-crf tag, whose output is a folder")
    if asked is not None:
        return asked.value
    if path is not None:
        return _OUTPUT_ENDINGS.get(path.suffix.lower(), "jsonl")
    return "terminal" if sys.stdout.isatty() else "jsonl"


def _device(name: str) -> "torch.device":
    """Find a device of torch's, and try whether it can be used.

    Raises:
        CommandError: if it is none, or cannot.
    """
    import torch

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise CommandError(f"--device {name}: must be a device of torch's such as cpu, cuda:0 or mps") from error
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError, NotImplementedError) as error:  # each kind of device raises its own
        raise CommandError(f"--device {name}: cannot be used: {reason(error)}") from error
    return device


def _watched(results: Iterator[Any]) -> Iterator[Any]:
    """Pass results on, and count them on the terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,} texts"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(results, total=None)


COMMAND = verb(tag, HELP)
