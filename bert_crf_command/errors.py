"""`bert-crf errors`: mistakes in their sentences, the worst first."""

import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .frame import CommandError, Model, Revision, Verbose, in_one_sentence, say, verb
from .judged import Gold, OperatingPoint, TrainData, document_of, of_run, tag_gold
from .labelled import Annotator, Asked, DataFormat, Misaligned, OnMisaligned, OnOverlap, Overlap

if TYPE_CHECKING:  # since importing it takes seconds
    from modeling_bert_crf.scores.judged import Judged, Mistake

    Chosen = Sequence[tuple[Judged, list[Mistake]]]

__all__ = ["COMMAND", "Form", "Kind", "Training", "errors"]


class Kind(StrEnum):
    """The kinds of mistakes."""

    TYPE = "type"
    BOUNDARY = "boundary"
    BOUNDARY_AND_TYPE = "boundary_and_type"
    MISSED = "missed"
    SPURIOUS = "spurious"


class Form(StrEnum):
    """What mistakes may be written as."""

    TERMINAL = "terminal"
    HTML = "html"
    JSONL = "jsonl"
    LABEL_STUDIO = "label-studio"


class Training(StrEnum):
    """Whether the training data hold an entity."""

    SEEN = "seen"
    UNSEEN = "unseen"


_ENDINGS = {".html": Form.HTML, ".jsonl": Form.JSONL, ".json": Form.LABEL_STUDIO}

Kinds = Annotated[list[Kind] | None, typer.Option("--kind", help="Only mistakes of this kind; as often as you like.")]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="TYPE", help="Only mistakes with entities of this type; as often as you like."),
]
InTraining = Annotated[
    Training | None,
    typer.Option(
        "--in_training",
        help="Only entities that the training data hold, with the same words and type; or do not.",
    ),
]
Format = Annotated[
    Form | None,
    typer.Option(
        "--format",
        help="What is written. If not given, what the ending of --output says (.html, .jsonl, and .json for Label "
        "Studio); else `terminal` on a terminal, `jsonl` elsewhere.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="PATH", help="A file instead of standard output; whole or not at all."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many sentences, the worst.")]

HELP = """\
Show where a tagger is wrong: gold entities and found ones in their sentences, the worst mistakes first.

[bold]bert-crf errors runs/mine[/bold]
[bold]bert-crf errors runs/mine --kind missed --type PER --in_training unseen --output missed.html[/bold]
[bold]bert-crf errors dslim/bert-base-NER dev.conll --train train.conll --output tasks.json[/bold]

Without GOLD it shows what a run of `bert-crf train --do_predict` has left in its folder; no model is opened. The worse
a mistake, the less probable the tagger held what is right: the gold entity, or that there is none where one was found.
Probabilities are exact.

[cyan]html[/cyan]: one page that needs nothing else and runs no script; kinds and types can be switched off.
[cyan]jsonl[/cyan]: an object a line: `text`, `entities` (gold), `predicted` with probabilities, and `mistakes`.
[cyan]label-studio[/cyan]: tasks to correct, gold entities as annotations, found ones as predictions. PATH.xml is
the labelling configuration. `bert-crf train` and `bert-crf convert` read what is exported again.

[bold]Exit codes:[/bold]

[cyan]0[/cyan] done, also where there are no mistakes.
[cyan]1[/cyan] the model, the data or the output is at fault, and one sentence says how.
[cyan]2[/cyan] the command is wrong.
"""


def errors(
    model: Model,
    gold: Gold = None,
    kinds: Kinds = None,
    types: Types = None,
    in_training: InTraining = None,
    form: Format = None,
    output: Output = None,
    limit: Limit = None,
    train: TrainData = None,
    operating_point: OperatingPoint = None,
    data_format: DataFormat = None,
    on_misaligned: OnMisaligned = Misaligned.SPLIT,
    on_overlap: OnOverlap = Overlap.ERROR,
    annotator: Annotator = "error",
    revision: Revision = None,
    verbose: Verbose = False,
) -> None:
    """Show the mistakes of a tagger, as `HELP` says."""
    form = _form(output, form)
    if gold is None and (train is not None or operating_point is not None):
        raise typer.BadParameter("--train and --operating_point need GOLD: without it nothing is tagged")

    from modeling_bert_crf.opening.tagger import OpeningError
    from modeling_bert_crf.readers.sentences import DataError
    from modeling_bert_crf.reports.errors import ReportError
    from modeling_bert_crf.scores.judged import choose

    with in_one_sentence("errors", DataError, OpeningError, ReportError, verbose=verbose):
        if gold is None:
            judged = of_run(Path(model))
        else:
            asked = Asked(data_format, on_misaligned, on_overlap, annotator)
            judged = tag_gold(model, gold, asked, train, operating_point, revision).judged
        if in_training is not None and any(one.seen is None for one in judged):
            cure = "--train TRAIN" if gold is not None else "GOLD and --train TRAIN"
            raise CommandError(f"--in_training: nobody knows what stands in the training data: name {cure}")
        seen = None if in_training is None else in_training == Training.SEEN
        chosen = choose(judged, kinds or (), types or (), seen)
        source = Path(model).name + (f", {gold.name}" if gold is not None else "")
        _write(chosen[:limit], form, output, len(judged), source)
    mistakes = sum(len(own) for _, own in chosen)
    shown = f"; the worst {limit:,} are shown" if limit is not None and limit < len(chosen) else ""
    to_read = output is None and form != Form.TERMINAL  # by a program, from standard output
    say(f"{mistakes:,} mistakes in {len(chosen):,} of {len(judged):,} sentences{shown}", err=to_read)
    for line in _commonest(chosen) if form == Form.TERMINAL else ():
        say(line)


def _form(path: Path | None, asked: Form | None) -> Form:
    if asked is not None:
        return asked
    if path is None:
        return Form.TERMINAL if sys.stdout.isatty() else Form.JSONL
    if path.suffix.lower() not in _ENDINGS:
        raise typer.BadParameter(f"{path}: must end in {', '.join(_ENDINGS)}, or --format must say what to write")
    return _ENDINGS[path.suffix.lower()]


def _write(chosen: "Chosen", form: Form, output: Path | None, sentences: int, source: str) -> None:
    from modeling_bert_crf.reports.mistakes import make_mistakes_page
    from modeling_bert_crf.writers.formats import Options

    from .outputs import output_file, write_labelled

    if form in (Form.JSONL, Form.LABEL_STUDIO):
        options = Options(model=f"bert-crf {source}")
        second = write_labelled((document_of(*pair) for pair in chosen), form.value, output, options)
        if second is not None:
            say(f"{second}: the labelling configuration of these tasks", err=True)
    elif form == Form.HTML:
        page = make_mistakes_page(chosen, sentences, "Mistakes", source)
        with output_file(output) as file:
            file.write(page)
    else:
        with output_file(output) as file:
            file.writelines(f"{line}\n" for line in _lines(chosen))


def _lines(chosen: "Chosen") -> "Iterator[str]":
    """Write sentences and their mistakes for a terminal."""
    from modeling_bert_crf.doors.terminal import visible
    from modeling_bert_crf.reports.mistakes import describe

    for judged, mistakes in chosen:
        yield f"{visible(judged.place)}  {visible(' '.join(judged.words))}"
        for one in mistakes:
            yield f"    {visible(describe(judged, one))}"


def _commonest(chosen: "Chosen") -> "Iterator[str]":
    """Write how often the most frequent kinds of mistakes are made; they come last, where a terminal shows them."""
    from modeling_bert_crf.reports.mistakes import title_of
    from modeling_bert_crf.scores.judged import groups

    for group in groups(chosen)[:10]:
        yield f"{len(group.examples):7,}  {title_of(group)}"


COMMAND = verb(errors, HELP)
