"""Labelled data of a verb that has a finished tagger: sentences, or texts with spans, which the tagger splits."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from .frame import CommandError, say

if TYPE_CHECKING:  # since importing these takes seconds
    from modeling_bert_crf.readers.labelled import Labelled
    from modeling_bert_crf.readers.sentences import Sentence

__all__ = [
    "Annotator",
    "Asked",
    "DataFormat",
    "Misaligned",
    "OnMisaligned",
    "OnOverlap",
    "Overlap",
    "check_format",
    "read_for",
    "read_labelled",
]


class Misaligned(StrEnum):
    """What is done with an annotation that ends inside a word."""

    SPLIT = "split"
    EXPAND = "expand"
    DROP = "drop"
    ERROR = "error"


class Overlap(StrEnum):
    """What is done with annotations that overlap."""

    ERROR = "error"
    LONGEST = "longest"
    FIRST = "first"


DataFormat = Annotated[
    str | None,
    typer.Option("--data_format", metavar="NAME", help="Format of labelled data, if not as their content shows."),
]
OnMisaligned = Annotated[
    Misaligned,
    typer.Option(
        "--on_misaligned",
        help="An annotation that ends inside a word splits the word, takes it in, is left out, or is refused.",
    ),
]
OnOverlap = Annotated[
    Overlap,
    typer.Option(
        "--on_overlap",
        help="Of annotations that overlap the longest is kept, or the one that begins first, or they are refused.",
    ),
]
Annotator = Annotated[
    str,
    typer.Option(
        "--annotator",
        help="Whose annotations count where people have annotated a text differently: a name, `first`, `last`, or "
        "`error`, which refuses them.",
    ),
]
"""Options of every verb that reads labelled data."""


class Asked(NamedTuple):
    """What those options say."""

    data_format: str | None = None
    on_misaligned: str = Misaligned.SPLIT
    on_overlap: str = Overlap.ERROR
    annotator: str = "error"


def check_format(data_format: str | None) -> None:
    """Refuse what is no name of a format.

    Raises:
        CommandError: naming those that there are.
    """
    from modeling_bert_crf.readers.formats import FORMATS

    if data_format not in (None, *FORMATS):
        raise CommandError(f"--data_format must be one of {', '.join(FORMATS)}, got {data_format!r}")


def read_labelled(path: Path, asked: Asked, tokenizer: Any, config: Any) -> "Labelled":
    """Read labelled data with the words of a tagger, and say what became of spans.

    Raises:
        CommandError: if there is no such format.
        DataError: if the data cannot be read.
    """
    from modeling_bert_crf.readers.files import read_file
    from modeling_bert_crf.readers.labelled import understand
    from modeling_bert_crf.readers.marks import Ask
    from modeling_bert_crf.readers.spans import SpanRules
    from modeling_bert_crf.splitters import split_texts

    check_format(asked.data_format)
    split = partial(split_texts, tokenizer, splitter=config.word_splitter)
    rules = SpanRules(split, config.text_unit == "sentence", str(asked.on_misaligned), str(asked.on_overlap))
    ask = Ask(annotator=asked.annotator)
    labelled = understand(read_file(path, data_format=asked.data_format, rules=rules, ask=ask), repair_tags=True)
    for line in ask.account.lines():
        say(line, err=True)
    return labelled


def read_for(tokenizer: Any, config: Any, path: Path, asked: Asked) -> "list[Sentence]":
    """Read labelled data with the words of a tagger and with tags in its scheme.

    Raises:
        CommandError, DataError: as by `read_labelled`; also if the tags cannot be written in its scheme.
    """
    from modeling_bert_crf.readers.tags import convert_tags

    labelled = read_labelled(path, asked, tokenizer, config)
    return [convert_tags(sentence, labelled.scheme, config.span_scheme) for sentence in labelled.sentences]
