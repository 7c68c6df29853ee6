"""`bert-crf diagnose`: what is wrong with labelled data, before anything is trained on them."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .convert import Documents, Tags, Words
from .frame import Revision, Verbose, in_one_sentence, say, verb, visible
from .labelled import Annotator, DataFormat, Misaligned, OnMisaligned, OnOverlap, Overlap, check_format

if TYPE_CHECKING:  # since importing these takes seconds
    from modeling_bert_crf.diagnosis.diagnosis import Diagnosis
    from modeling_bert_crf.diagnosis.reading import How
    from modeling_bert_crf.diagnosis.subtokens import Encoder

__all__ = ["COMMAND", "diagnose"]

_SPLITS = {
    "train": {"train", "training", "trn"},
    "validation": {"dev", "devel", "valid", "validation", "val", "testa"},
    "test": {"test", "testing", "tst", "testb"},
}
"""What files of a split are usually called; those of CoNLL-2003 are called testa and testb."""
_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold blue"}

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FILES]...",
        help="Labelled data, as `bert-crf train` reads them. A file with train, dev or test in its name is of that "
        "split; any other is a part by itself.",
    ),
]
Train = Annotated[
    list[Path] | None, typer.Option("--train_file", help="A file of the training data, whatever its name.")
]
Validation = Annotated[list[Path] | None, typer.Option("--validation_file", help="The same, of the validation data.")]
Test = Annotated[list[Path] | None, typer.Option("--test_file", help="The same, of the test data.")]
Name = Annotated[
    str | None,
    typer.Option(
        "--model",
        "--model_name_or_path",
        metavar="NAME",
        help="An encoder to train, or a finished tagger: does it fit the data? Its weights are not read.",
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label_list", help="Names of tags that are numbers, or a file with one a line, as in training."),
]
Repair = Annotated[
    bool, typer.Option("--repair_tags", help="Training is to repair illegal tags; so they are no error.")
]
Json = Annotated[bool, typer.Option("--json", help="Write everything as JSON, for a program.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page of HTML as well.")]

HELP = """\
Say what is wrong with labelled data, before anything is trained on them.

[bold]bert-crf diagnose train.conll dev.conll test.conll[/bold]
[bold]bert-crf diagnose data/*.jsonl --model google-bert/bert-base-cased --html diagnosis.html[/bold]

What was read, and how; then the findings, with the first examples of each. An [red]error[/red] is what training
refuses, or what makes its result worthless; at a [yellow]warning[/yellow] some of the data are probably wrong; a
[blue]note[/blue] is something to know.

[bold]Exit codes:[/bold]

[cyan]0[/cyan] no error was found.
[cyan]1[/cyan] an error was found, or the model or the output is at fault.
[cyan]2[/cyan] the command is wrong.
"""


def diagnose(
    files: Files = None,
    train_file: Train = None,
    validation_file: Validation = None,
    test_file: Test = None,
    model: Name = None,
    revision: Revision = None,
    data_format: DataFormat = None,
    word_column: Words = None,
    tag_column: Tags = None,
    document_column: Documents = None,
    label_list: Labels = None,
    annotator: Annotator = "error",
    on_misaligned: OnMisaligned = Misaligned.SPLIT,
    on_overlap: OnOverlap = Overlap.ERROR,
    repair_tags: Repair = False,
    as_json: Json = False,
    html: Html = None,
    verbose: Verbose = False,
) -> None:
    """Say what is wrong with labelled data, as `HELP` says."""
    named = {"train": train_file, "validation": validation_file, "test": test_file}
    parts = _parts(files or [], {name: paths for name, paths in named.items() if paths})
    if not parts:
        raise typer.BadParameter("FILES must name labelled data, got none")

    from modeling_bert_crf.diagnosis.diagnosis import diagnose
    from modeling_bert_crf.diagnosis.reading import How, read_part
    from modeling_bert_crf.opening.tagger import OpeningError, quiet
    from modeling_bert_crf.readers.spans import SpanRules
    from modeling_bert_crf.training.errors import UserError

    with in_one_sentence("diagnose", OpeningError, UserError, verbose=verbose), quiet():
        check_format(data_format)
        rules = SpanRules(on_misaligned=on_misaligned.value, on_overlap=on_overlap.value)
        columns = word_column, tag_column, document_column
        how = How(*columns, data_format, annotator, _labels(label_list), repair_tags, rules)
        encoder = None
        if model is not None:
            encoder = _encoder(model, revision)
            how = _with_words_of(model, revision, how, [path for paths in parts.values() for path in paths])
        read = [read_part(name, paths, how) for name, paths in parts.items()]
        found = [finding for _, findings in read for finding in findings]
        diagnosis = diagnose([part for part, _ in read], found, encoder)
        _write(diagnosis, as_json, html)
    if diagnosis.count("error"):
        raise typer.Exit(1)


def _parts(files: Iterable[Path], named: Mapping[str, Sequence[Path]]) -> dict[str, list[Path]]:
    """Say of which part each file is, the parts of the usual splits first."""
    found = {name: list(paths) for name, paths in named.items()}
    for path in files:
        words = set(re.findall("[a-z]+", path.name.lower()))
        split = next((name for name, usual in _SPLITS.items() if words & usual), None)
        name = split or (str(path) if path.stem in found else path.stem)
        found.setdefault(name, []).append(path)
    return {name: found[name] for name in (*(name for name in _SPLITS if name in found), *(found.keys() - _SPLITS))}


def _labels(label_list: list[str] | None) -> list[str] | None:
    if not label_list:
        return None
    from modeling_bert_crf.training.arguments import DataArguments

    return DataArguments(label_list=label_list).labels()


def _encoder(name: str, revision: str | None) -> "Encoder":
    """Open what is asked of a model: its tokenizer and its configuration.

    Raises:
        OpeningError: if there is no such model, or training could not start from it.
    """
    import torch

    from modeling_bert_crf import is_tagger, tagger_class
    from modeling_bert_crf.diagnosis.subtokens import Encoder
    from modeling_bert_crf.opening.building import configuration_for
    from modeling_bert_crf.opening.tagger import open_tokenizer, read_config, telling
    from modeling_bert_crf.schemes import entity_types

    stored = read_config(name, revision)
    with telling(f"{name}: its config.json cannot be used"):
        family: Any = tagger_class(stored.get("model_type"))
        types = None
        if is_tagger(stored.get("model_type")):
            config = family.config_class.from_pretrained(name, revision=revision)
            types = entity_types(config.labels, config.span_scheme)
        else:
            config = configuration_for(family.config_class, stored, id2label={0: "O", 1: "B-X", 2: "I-X"})
        with torch.device("meta"):  # the model says how much it reads at once, and needs no weights for that
            room = family(config).max_length
    tokenizer = open_tokenizer(name, revision)
    return Encoder(name, tokenizer, min(room, tokenizer.model_max_length), types)


def _with_words_of(model: str, revision: str | None, how: "How", paths: Iterable[Path]) -> "How":
    """Let texts with spans be split as training from this model would split them."""
    from modeling_bert_crf.readers.formats import OF_SENTENCES, find_format
    from modeling_bert_crf.readers.sentences import DataError

    try:
        texts = [path for path in paths if find_format(path, how.data_format) not in OF_SENTENCES]
        if not texts:
            return how
        from modeling_bert_crf.training.arguments import DataArguments, ModelArguments
        from modeling_bert_crf.training.span_reading import SpanReading

        data = DataArguments(
            train_file=list(map(str, texts)),
            text_column_name=how.word_column,
            label_column_name=how.tag_column,
            data_format=how.data_format,
            annotator=how.annotator,
        )
        spans = SpanReading(data, ModelArguments(model_name_or_path=model, revision=revision or "main"), ["train"])
        if spans.rules is None or spans.splitter is None:
            return how
    except DataError:  # it is found when the files are read
        return how
    chosen = replace(how.rules, split=spans.rules.split, by_sentence=spans.rules.by_sentence)
    return replace(how, rules=chosen, splitter=spans.splitter)


def _write(diagnosis: "Diagnosis", as_json: bool, html: Path | None) -> None:
    """Write what was found on the terminal, and as a page if that is asked for."""
    from rich.console import Console
    from rich.text import Text

    from modeling_bert_crf.diagnosis.as_lines import as_lines
    from modeling_bert_crf.diagnosis.as_page import as_page

    from .outputs import output_file

    if html is not None:
        page = as_page(diagnosis)
        with output_file(html) as file:
            file.write(page)
    if as_json:
        say(diagnosis.as_json())
        return
    console = Console(file=sys.stdout, highlight=False, emoji=False, markup=False)
    for word, rest in as_lines(diagnosis):
        console.print(Text.assemble((word, _STYLES.get(word, "")), visible(rest)), soft_wrap=True)
    if html is not None:
        say(html)


COMMAND = verb(diagnose, HELP)
