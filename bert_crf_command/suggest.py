"""`bert-crf suggest`: what to label next, and what is probably labelled wrong."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .formats import (
    Column,
    Format,
    Input,
    Output,
    OutputFormat,
    format_of_input,
    format_of_output,
    write_found,
)
from .frame import CommandError, Model, Revision, Verbose, in_one_sentence, say, verb
from .labelled import Annotator, Asked, DataFormat, Misaligned, OnMisaligned, OnOverlap, Overlap, read_for

if TYPE_CHECKING:  # since importing these takes seconds
    from modeling_bert_crf import BiLSTMCRFPipeline
    from modeling_bert_crf.readers.documents import Document
    from modeling_bert_crf.readers.sentences import Sentence
    from modeling_bert_crf.suggestions.doubts import Judgement

    from .inputs import Item
    from .outputs import Result

    Doubtful = tuple[Sentence, Judgement]

__all__ = ["COMMAND", "By", "suggest"]


class By(StrEnum):
    """What a ranking of texts may go by."""

    ENTROPY = "entropy"
    PROBABILITY = "probability"
    MARGIN = "margin"


Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILES...",
        help="Texts, as `bert-crf tag --input` reads them; with --labelled labelled data, as `bert-crf train` reads "
        "them. `-` is standard input.",
    ),
]
IsLabelled = Annotated[
    bool, typer.Option("--labelled", help="Rank labelled sentences, by how improbable their labels are.")
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        min=2,
        help="For sentences that MODEL was trained on: train so many taggers as MODEL was trained, each on all folds "
        "but one, which it then judges.",
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="NAME",
        help="The encoder that MODEL was trained from, to train those from, if that was a folder and no name on the "
        "Hub.",
    ),
]
RankedBy = Annotated[
    By,
    typer.Option(
        "--by",
        help="How unsure the tagger is: the entropy of its taggings, how probable it is that the best one is wrong, "
        "or how little that is ahead of the second.",
    ),
]
Most = Annotated[int | None, typer.Option("--most", min=1, help="Write only so many, the first of the ranking.")]

HELP = """\
Say what to label next, or with --labelled what is probably labelled wrong: rank sentences for an annotator.

[bold]bert-crf suggest runs/mine unlabelled.txt --most 200 --format label-studio -o tasks.json[/bold]
[bold]bert-crf suggest runs/mine train.conll --labelled --folds 5 --most 50[/bold]

[bold]Texts[/bold] come with the tagger's entities, the ones that it is most unsure of first. Long texts lead, since
there is more in them to be unsure of. Near-copies of a text that stands further up (half of the words in common) stand
behind all others. A line, an object or a sentence of columns is ranked as a whole.

[bold]Labelled sentences[/bold] come with their labels, the most improbable ones first: each with the places where the
tagger would have something else, and the exact probability of both. A tagger believes what it was trained on, so for
its own training data give --folds: nothing of the taggers that are then trained is kept.

[bold]Out:[/bold] in the formats of `bert-crf tag`; those that keep other columns say how unsure the tagger is
(`uncertainty`), or how improbable the labels are (`improbability`, `doubts`). All texts are held in memory.

[bold]Exit codes:[/bold]

[cyan]0[/cyan] done.
[cyan]1[/cyan] an input, the model or the output is at fault, and one sentence says how.
[cyan]2[/cyan] the command is wrong.
[cyan]130[/cyan] stopped by Ctrl-C. What is to be written is then as it was before.
"""


def suggest(
    model: Model,
    files: Files,
    labelled: IsLabelled = False,
    folds: Folds = None,
    encoder: Encoder = None,
    by: RankedBy = By.ENTROPY,
    most: Most = None,
    output_format: Format = None,
    output: Output = None,
    input_format: Input = None,
    column: Column = None,
    data_format: DataFormat = None,
    on_misaligned: OnMisaligned = Misaligned.SPLIT,
    on_overlap: OnOverlap = Overlap.ERROR,
    annotator: Annotator = "error",
    revision: Revision = None,
    verbose: Verbose = False,
) -> None:
    """Rank texts or labelled sentences, as `HELP` says."""
    if not labelled and folds is not None:
        raise typer.BadParameter("--folds is for --labelled sentences")
    if encoder is not None and folds is None:
        raise typer.BadParameter("--encoder is for --folds")
    if labelled and (input_format is not None or column is not None):
        raise typer.BadParameter("--labelled data are described by --data_format, not by --input_format")
    path = None if output is None else Path(output)
    form = format_of_output(path, output_format)
    if labelled and form in (OutputFormat.HTML, OutputFormat.REDACTED):
        raise typer.BadParameter(f"--labelled sentences cannot be written as {form}")
    inputs = [] if labelled else [(file, format_of_input(file, input_format)) for file in files]

    from modeling_bert_crf.opening.tagger import OpeningError, open_tagger
    from modeling_bert_crf.readers.sentences import DataError
    from modeling_bert_crf.training.errors import Stopped, TrainingError, UserError

    from .inputs import check_readable, read_items
    from .outputs import check_output

    with in_one_sentence("suggest", DataError, OpeningError, TrainingError, UserError, verbose=verbose):
        check_readable(files)
        check_output(form, path)
        if not labelled:
            tagger = open_tagger(model, revision)
            results = _ranked(tagger, list(read_items([], inputs, column)), by, most, form)
            write_found(iter(results), tagger, form, path, False)
            return
        asked = Asked(data_format, on_misaligned, on_overlap, annotator)
        try:
            doubtful, scheme = _doubtful(model, [Path(file) for file in files], asked, folds, encoder, revision)
        except Stopped as error:
            say(f"bert-crf suggest: {error}", err=True)
            raise typer.Exit(error.status) from None
        _write_doubtful(doubtful[:most], scheme, form, path)


def _ranked(
    tagger: "BiLSTMCRFPipeline", items: "Sequence[Item]", by: str, most: int | None, form: str
) -> "list[Result]":
    """Return texts with their entities, those first that the tagger is most unsure of."""
    from modeling_bert_crf.splitters import split_texts
    from modeling_bert_crf.suggestions.uncertainty import entities_of, uncertainty
    from modeling_bert_crf.suggestions.variety import varied

    chains = list(_chains(tagger, items))
    scores = [uncertainty(own, by) for own in chains]
    texts = [item.text for item in items]
    words = split_texts(tagger.tokenizer, texts, tagger.model.config.word_splitter)
    spelt = [
        item.content if item.is_split else [text[slice(*word)] for word in own]
        for item, text, own in zip(items, texts, words, strict=True)
    ]
    order = varied(spelt, sorted(range(len(items)), key=lambda index: -scores[index]))[:most]
    say(f"{len(order):,} of {len(items):,} texts, by {by}", err=True)
    seen_by_people = form in (OutputFormat.TERMINAL, OutputFormat.HTML)
    results = []
    for index in order:
        item, score = items[index], scores[index]
        place = f"{item.place}, {by} {score:.2f}" if seen_by_people else item.place
        # Sentences of one document need not stand together any more.
        alone = replace(item, place=place, columns={**(item.columns or {}), "uncertainty": score}, document=(0, 0))
        results.append((alone, entities_of(chains[index])))
    return results


def _chains(tagger: "BiLSTMCRFPipeline", items: "Iterable[Item]") -> Iterator[list[dict[str, Any]]]:
    """Yield the chains of each item with their two best paths, as the pipeline returns them."""
    from .outputs import BLOCK

    for is_split, group in groupby(items, key=lambda item: item.is_split):
        if is_split and tagger.model.config.context_size:
            for _, one in groupby(group, key=lambda item: item.document):
                document = [item.content for item in one]
                for chain in tagger([document], is_split_into_words=True, num_paths=2)[0]:
                    yield [_moved(chain, -chain["start"])]
            continue
        while block := list(islice(group, BLOCK)):
            yield from tagger([item.content for item in block], is_split_into_words=is_split, num_paths=2)


def _moved(chain: dict[str, Any], by: int) -> dict[str, Any]:
    """Let a chain begin somewhere else."""
    paths = [
        path | {"entities": [one | {side: one[side] + by for side in ("start", "end")} for one in path["entities"]]}
        for path in chain["paths"]
    ]
    return chain | {"start": chain["start"] + by, "end": chain["end"] + by, "paths": paths}


def _doubtful(
    model: str, files: Sequence[Path], asked: Asked, folds: int | None, encoder: str | None, revision: str | None
) -> "tuple[list[Doubtful], str | None]":
    """Return labelled sentences with what is doubtful of them, those with the least probable labels first.

    Their tags are in the scheme that is returned, too.
    """
    from modeling_bert_crf.opening.tagger import open_tagger
    from modeling_bert_crf.readers.tags import find_labels
    from modeling_bert_crf.suggestions.doubts import judge
    from modeling_bert_crf.suggestions.folds import folds_of, out_of_fold
    from modeling_bert_crf.suggestions.reading import read_chains
    from modeling_bert_crf.suggestions.recipe import recipe_of

    tagger = open_tagger(model, revision)
    config = tagger.model.config
    scheme = config.span_scheme
    sentences = [one for path in files for one in read_for(tagger.tokenizer, config, path, asked)]
    taggers: Iterable[Any] = [(list(range(len(sentences))), tagger)]
    if folds is not None:
        recipe = recipe_of(model, revision, encoder)
        say(f"taggers are trained on {recipe.encoder} with {recipe.source}", err=True)
        try:
            dealt = folds_of(sentences, folds)
        except ValueError as error:
            raise CommandError(f"--folds {folds}: {error}") from None
        labels = find_labels(sentences, scheme)
        taggers = out_of_fold(sentences, scheme, labels, recipe, dealt, lambda line: say(line, err=True))
    judged = []
    for fold, one in taggers:
        own = [sentences[index] for index in fold]
        judged += zip(fold, own, judge(one.model, read_chains(one, own, scheme)), strict=True)
    judged.sort(key=lambda row: (-row[2].improbability, row[0]))
    return [(sentence, judgement) for _, sentence, judgement in judged], scheme


def _write_doubtful(doubtful: "Sequence[Doubtful]", scheme: str | None, form: str, output: Path | None) -> None:
    from modeling_bert_crf.writers.formats import Options

    from .outputs import output_file, write_labelled

    if form == OutputFormat.TERMINAL:
        with output_file(output) as file:
            file.writelines(f"{line}\n" for line in _lines(doubtful))
        return
    second = write_labelled(_documents(doubtful, scheme), form, output, Options(model="bert-crf suggest"))
    if second is not None:
        say(f"{second}: the labelling configuration of these tasks", err=True)


def _lines(doubtful: "Iterable[Doubtful]") -> Iterator[str]:
    """Write sentences and what is doubtful of them for a terminal."""
    from modeling_bert_crf.doors.terminal import visible

    for sentence, judgement in doubtful:
        place = sentence.where(0) if sentence.words else sentence.source
        yield f"{visible(place)}  {visible(' '.join(sentence.words))}"
        for doubt in judgement.gravest:
            yield f"    {visible(doubt.described(sentence.words))}"


def _documents(doubtful: "Iterable[Doubtful]", scheme: str | None) -> "Iterator[Document]":
    """Write sentences as texts with their labels, and beside these what is doubtful, and what the tagger finds."""
    from modeling_bert_crf.readers.documents import Annotation
    from modeling_bert_crf.writers.merging import documents_of_sentences

    for sentence, judgement in doubtful:
        # Sentences of one document need not stand together any more.
        for document in documents_of_sentences([replace(sentence, document="")], scheme, numbered=False):
            words = document.words or []
            said: dict[str, Any] = {"file": sentence.source, "line": next(iter(sentence.lines), None)}
            said |= {"improbability": judgement.improbability}
            said["doubts"] = [doubt.as_row(sentence.words) for doubt in judgement.gravest]
            found = [
                Annotation(words[start][0], words[end - 1][1], kind, probability)
                for (start, end, kind), probability in judgement.found.items()
            ]
            yield replace(document, meta=said, predicted=found)


COMMAND = verb(suggest, HELP)
