"""Sentences with what is there and what was found, for verbs that look at mistakes: as a run left them, or anew."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from .frame import CommandError, reason, say
from .labelled import Asked, read_for

if TYPE_CHECKING:  # since importing these takes seconds
    from modeling_bert_crf.readers.documents import Document
    from modeling_bert_crf.readers.sentences import Sentence
    from modeling_bert_crf.scores.judged import Judged, Mistake

__all__ = ["Gold", "OperatingPoint", "Tagged", "TrainData", "document_of", "of_run", "open_export", "tag_gold"]

Gold = Annotated[
    Path | None,
    typer.Argument(
        metavar="GOLD",
        help="Labelled sentences, or texts with spans. Without them, what a run has left of its test part.",
    ),
]
TrainData = Annotated[
    Path | None,
    typer.Option(
        "--train",
        metavar="TRAIN",
        help="What the tagger was trained on, to tell entities that stand there, with the same words and type.",
    ),
]
OperatingPoint = Annotated[
    str | None,
    typer.Option("--operating_point", metavar="NAME", help="One of the model's, instead of the one in force."),
]


class Tagged(NamedTuple):
    """Labelled sentences that a tagger has tagged.

    Attributes:
        sentences: with tags in the scheme.
        judged: they, with what was found.
        scheme: of the tagger's tags, as its entities are read.
    """

    sentences: "list[Sentence]"
    judged: "list[Judged]"
    scheme: str | None


def tag_gold(
    model: str,
    gold: Path,
    asked: Asked,
    train: Path | None = None,
    operating_point: str | None = None,
    revision: str | None = None,
) -> Tagged:
    """Find the entities of labelled data by a tagger or an export of one. What it has no tag for is said.

    Raises:
        CommandError, DataError, OpeningError: if the model or the data cannot be used.
    """
    from modeling_bert_crf.fitting.judging import judge, judge_found
    from modeling_bert_crf.opening.tagger import open_tagger

    for path in (gold, train):
        if path is not None and not path.exists():
            raise CommandError(f"{path}: no such file")
    if (Path(model) / "tagger.json").is_file():
        if operating_point is not None:
            raise CommandError(f"{model}: an export has the operating point that was in force, and no other")
        export = open_export(model)
        tokenizer, config = export.tokenizer, SimpleNamespace(**export.settings)
        config.span_scheme = export.scheme
        sentences, seen = _read(tokenizer, config, gold, train, asked)
        judged = judge_found(export, sentences, export.scheme, seen)
    else:
        tagger = open_tagger(model, revision)
        tokenizer, config = tagger.tokenizer, tagger.model.config
        if operating_point is not None:
            try:
                config.point(operating_point)
            except ValueError as error:
                raise CommandError(f"{model}: {error}") from None
        sentences, seen = _read(tokenizer, config, gold, train, asked)
        judged = judge(tagger, sentences, seen, operating_point)
    _say_unknown_types(judged, config)
    return Tagged(sentences, judged, config.span_scheme)


def open_export(folder: str, **options: Any) -> Any:
    """Open an export; `options` are those of `OnnxTagger`.

    Raises:
        CommandError: if it cannot be opened, or what it needs is not installed.
    """
    try:
        from modeling_bert_crf.export.runtime import OnnxTagger
    except ImportError as error:
        raise CommandError(f"{folder}: {reason(error)}: pip install 'modeling-bert-crf[onnx]'") from None
    try:
        return OnnxTagger(folder, **options)
    except (OSError, ValueError, KeyError) as error:
        raise CommandError(f"{folder}: this export cannot be opened: {reason(error)}") from None


def _read(
    tokenizer: Any, config: Any, gold: Path, train: Path | None, asked: Asked
) -> "tuple[list[Sentence], set[Any] | None]":
    """Read the labelled sentences; and the entities of the training data, as they are written, if these are named."""
    from modeling_bert_crf.readers.partial import known_spans
    from modeling_bert_crf.scores.mistakes import forms

    sentences = read_for(tokenizer, config, gold, asked)
    if train is None:
        return sentences, None
    known = read_for(tokenizer, config, train, asked)
    return sentences, {form for one in known for form in forms(one.words, known_spans(one.tags, config.span_scheme))}


def _say_unknown_types(judged: "list[Judged]", config: Any) -> None:
    from modeling_bert_crf.schemes import entity_types

    gold = [kind for one in judged for *_, kind in one.gold]
    for kind in sorted({*gold} - {*entity_types(config.labels, config.span_scheme)}):
        say(f"the model has no tag for type {kind!r}: its {gold.count(kind):,} entities are missed", err=True)


def of_run(folder: Path) -> "list[Judged]":
    """Return the sentences that a run was tested on, as it has left them.

    Raises:
        CommandError: if the folder is no run's, or the run was not tested.
        ReportError: if its files are of several runs.
    """
    from modeling_bert_crf.reports.errors import ReportError
    from modeling_bert_crf.reports.runs import PREDICTIONS, read_judged, read_metrics

    try:
        metrics = read_metrics(folder)
    except ReportError as error:
        raise CommandError(f"{error}; or name GOLD as well") from None
    judged = read_judged(folder, metrics)
    if judged is None:
        raise CommandError(f"{folder} holds no {PREDICTIONS}, which a run with --do_predict leaves: name GOLD as well")
    return judged


def document_of(judged: "Judged", mistakes: "list[Mistake]") -> "Document":
    """Write a sentence as a text with its gold entities, and those found beside them."""
    from modeling_bert_crf.readers.documents import Annotation, Document
    from modeling_bert_crf.reports.mistakes import describe
    from modeling_bert_crf.writers.merging import joined_words

    words = joined_words(judged.words)
    sides = [
        [Annotation(words[start][0], words[end - 1][1], kind, score) for (start, end, kind), score in side]
        for side in (
            [(span, None) for span in judged.gold],
            [(span, judged.probability(span)) for span in judged.predicted],
        )
    ]
    said = {"place": judged.place, "mistakes": [describe(judged, one) for one in mistakes]}
    source, _, line = judged.place.rpartition(":")
    return Document(" ".join(judged.words), sides[0], source, line, words=words, meta=said, predicted=sides[1])
