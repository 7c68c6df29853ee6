"""`bert-crf tag`: texts in, entities out."""

import sys
from enum import StrEnum
from functools import partial
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .formats import (
    Column,
    Consistent,
    Format,
    Input,
    Output,
    OutputFormat,
    format_of_input,
    format_of_output,
    write_found,
)
from .frame import CommandError, Model, Revision, Verbose, in_one_sentence, reason, say, verb
from .job import JobOptions, Longest, OnBadRow, OnError, Processes, Ray, ShardRows, StartOver, WithRay

if TYPE_CHECKING:  # since importing these takes seconds
    import torch

    from modeling_bert_crf import BiLSTMCRFPipeline


__all__ = ["COMMAND", "Decoding", "tag"]


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
of which one is right, and of \\[start, end, "O"] where no entity is: the rest is found given that (not in a job).
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
    ray: Ray = None,
    start_over: StartOver = False,
    revision: Revision = None,
    verbose: Verbose = False,
) -> None:
    """Find the entities of texts, as `HELP` says."""
    job = JobOptions(longest, shard_rows, processes, ray, start_over)
    options = {"threshold": threshold, "decoding": decoding.value, "operating_point": operating_point}
    options |= {"batch_size": batch_size}
    if job.is_meant(output, output_format, texts or [], files or [], input_format):
        order = (files or [], output or "", output_format, column, options, on_error is OnBadRow.FAIL)
        job.run((model, revision, device), *order, partial(_opened, model, revision, device, operating_point), verbose)
        return
    texts, files = _sources(texts or [], files or [])
    inputs = [(path, format_of_input(path, input_format)) for path in files]
    path = None if output is None else Path(output)
    form = format_of_output(path, output_format)
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
        write_found(results, tagger, form, path, consistent)


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


COMMAND = verb(tag, HELP, WithRay)
