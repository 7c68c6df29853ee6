"""What `bert-crf tag` and `bert-crf convert` write, into a file or a folder that appears whole or not at all."""

import json
import os
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import cycle, groupby, islice
from pathlib import Path
from typing import Any, TextIO

from modeling_bert_crf import BiLSTMCRFPipeline
from modeling_bert_crf.doors.files import whole
from modeling_bert_crf.doors.terminal import Screen, Writable
from modeling_bert_crf.readers.columns import write_rows
from modeling_bert_crf.readers.conversion import spans_to_tags
from modeling_bert_crf.readers.documents import Annotation, Document
from modeling_bert_crf.readers.sentences import DataError
from modeling_bert_crf.readers.units import over_words
from modeling_bert_crf.schemes import OUTSIDE, entity_types
from modeling_bert_crf.splitters import split_sentences, split_text
from modeling_bert_crf.writers.formats import FORMATS, Options, write_documents
from modeling_bert_crf.writers.merging import joined_words, merged

from .frame import CommandError, reason
from .inputs import Item

__all__ = [
    "BLOCK",
    "Result",
    "check_output",
    "colours",
    "documents_of",
    "find_entities",
    "output_file",
    "pieces",
    "write_conll",
    "write_jsonl",
    "write_labelled",
]

BLOCK = 256
"""How many items are read, tagged and written at a time; for a model that reads context, how many documents."""

Result = tuple[Item, list[dict[str, Any]]]
"""An item and its entities, in order, as the pipeline gives them."""


def find_entities(tagger: BiLSTMCRFPipeline, items: Iterable[Item], **options: Any) -> Iterator[Result]:
    """Tag any number of items, in their order; `options` are those of the pipeline.

    If the model reads a sentence among its neighbours, all sentences of a document are read and tagged together.
    """
    for is_split, group in groupby(items, key=lambda item: item.is_split):
        if is_split and tagger.model.config.context_size:
            documents = (list(document) for _, document in groupby(group, key=lambda item: item.document))
            while block := list(islice(documents, BLOCK)):
                _refuse_known(block)
                sentences = [[item.content for item in document] for document in block]
                found = tagger(sentences, is_split_into_words=True, **options)
                for document, entities in zip(block, found, strict=True):
                    yield from _by_sentence(document, entities)
        else:
            while block := list(islice(group, BLOCK)):
                yield from zip(block, _find(tagger, block, is_split, options), strict=True)


def _find(tagger: BiLSTMCRFPipeline, block: Sequence[Item], is_split: bool, options: dict[str, Any]) -> list[Any]:
    """Tag some items, given what is known of each.

    Raises:
        DataError: if what is known of one contradicts itself, the words, or the tags.
    """
    contents, known = [item.content for item in block], [item.known for item in block]
    if not any(known):
        return tagger(contents, is_split_into_words=is_split, **options)
    try:
        return tagger(contents, is_split_into_words=is_split, known=known, **options)
    except ValueError:
        for item in block:  # one by one, to say which it is
            try:
                tagger([item.content], is_split_into_words=is_split, known=[item.known], **options)
            except ValueError as error:
                raise DataError(f"{item.place}: {str(error).removeprefix('text 1: ')}") from None
        raise


def _refuse_known(documents: Iterable[Sequence[Item]]) -> None:
    if one := next((item for document in documents for item in document if item.known), None):
        raise DataError(f"{one.place}: 'known' is for texts, or for a model that reads no context, got words for one")


def _by_sentence(document: Sequence[Item], entities: Sequence[dict[str, Any]]) -> Iterator[Result]:
    """Give each sentence of a document its entities, with offsets in that sentence."""
    starts, start = [entity["start"] for entity in entities], 0
    for item in document:
        end = start + len(item.text)
        own = entities[bisect_left(starts, start) : bisect_left(starts, end)]
        yield item, [one | {"start": one["start"] - start, "end": one["end"] - start} for one in own]
        start = end + 1 if item.content else start  # a blank joins sentences that have words


def colours(tagger: BiLSTMCRFPipeline, palette: Iterable[Any]) -> dict[str, Any]:
    """Give each entity type of a model a colour, in the order of its labels; a short palette is used again."""
    config = tagger.model.config
    return dict(zip(entity_types(config.labels, config.span_scheme), cycle(palette), strict=False))


def pieces(text: str, entities: Sequence[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Cut a text into its entities and what stands between them; joined again, the pieces are the text."""
    end = 0
    for entity in entities:
        yield text[end : entity["start"]], None
        yield text[entity["start"] : entity["end"]], entity
        end = entity["end"]
    yield text[end:], None


def write_jsonl(results: Iterable[Result], tagger: BiLSTMCRFPipeline, file: Writable) -> None:
    """Write one object a line: what the input said, the text that offsets count in, and its entities."""
    for item, entities in results:
        row = {**(item.columns or {}), "text": item.text, "entities": entities}
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_conll(results: Iterable[Result], tagger: BiLSTMCRFPipeline, file: Writable) -> None:
    """Write a word a line, the last column of the input if it had one, and the tag; an empty line after a sentence.

    What a column file cannot hold is written as `write_rows` does.
    """
    scheme = tagger.model.config.span_scheme
    document = (0, 0)
    for item, entities in results:
        if item.document != document:
            document = item.document
            file.write("\t".join(["-DOCSTART-", *([OUTSIDE] if item.gold else []), OUTSIDE]) + "\n\n")
        words, sentences = _split(item, tagger)
        tags = spans_to_tags(_over_words(entities, words), len(words), scheme)
        for sentence in sentences:
            rows = [
                [item.text[slice(*words[index])], *item.gold[index : index + 1], tags[index]] for index in sentence
            ]
            write_rows(file, rows)


def _over_words(
    entities: Iterable[dict[str, Any]], words: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, str]]:
    """Say which words entities have a part of; a word goes to the first entity in it.

    The borders of entities are borders of words, unless the chain runs over sub-tokens.
    """
    done = 0
    for one in entities:
        start, end = over_words(one["start"], one["end"], words)
        if max(start, done) < end:
            yield max(start, done), end, one["entity_group"]
            done = end


def _split(item: Item, tagger: BiLSTMCRFPipeline) -> tuple[list[tuple[int, int]], list[range]]:
    """Return an item's words as characters, and its sentences as words: those that the pipeline tags."""
    if isinstance(item.content, str):
        words = split_text(tagger.tokenizer, item.text, tagger.model.config.word_splitter)
        if tagger.model.config.text_unit == "sentence":
            return words, split_sentences(item.text, words)
    else:
        words = joined_words(item.content)
    return words, [range(len(words))] if words else []


def documents_of(results: Iterable[Result]) -> Iterator[Document]:
    """Give texts with their entities to the writers; sentences between two borders of a column file are one text."""
    return merged(
        (item.document if item.is_split and item.document[1] else None, _document(item, entities))
        for item, entities in results
    )


def _document(item: Item, entities: Iterable[dict[str, Any]]) -> Document:
    said = dict(item.columns or {})
    name = said.pop("id", "")
    source, _, place = item.place.rpartition(":")
    words, sentences = None, None
    if item.is_split:
        words, sentences = joined_words(item.content), [(0, len(item.text))]
    found = [Annotation(one["start"], one["end"], one["entity_group"], one["score"]) for one in entities]
    return Document(item.text, found, source or "text", place, str(name), words, sentences, said)


def write_labelled(documents: Iterable[Document], name: str, path: Path | None, options: Options) -> Path | None:
    """Write documents in one of the formats of `writers`, to a file, a folder, or standard output.

    Returns:
        The second file that was written because the tool needs it; its name has one ending more.

    Raises:
        CommandError: if it cannot be written.
        DataError: if the format cannot hold what a document says.
    """
    form = FORMATS[name]
    if path is not None and form.to_path:
        with _said_in_one_sentence(path), whole(path) as place:
            write_documents(documents, name, place, options)
        return None
    # JSON can write half a character, which other columns of a JSON line may hold.
    errors = "backslashreplace" if form.ending.startswith(".json") else "strict"
    with output_file(path, errors) as file:
        write_documents(documents, name, Screen(file) if file.isatty() else file, options)
        if form.beside is None or path is None or (path.exists() and not path.is_file()):
            return None
        second = path.with_name(path.name + form.ending_beside)
        with output_file(second) as file_beside:
            form.beside(options.kinds, file_beside)
    return second


def check_output(name: str, path: Path | None) -> None:
    """Refuse an output that cannot be written, before the work begins.

    Raises:
        CommandError: if the format needs a path and there is none, or would put a folder in the place of something.
    """
    if name not in FORMATS or not FORMATS[name].to_path:
        return
    if path is None:
        what = "a binary file" if FORMATS[name].ending else "a folder of files"
        raise CommandError(f"{name} is {what}: it needs a path, not standard output")
    if FORMATS[name].ending:
        return
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        raise CommandError(f"{path}: must be a new folder or an empty one, since {name} fills it with a file a text")


@contextmanager
def output_file(path: Path | None, errors: str = "strict") -> Iterator[TextIO]:
    """Open what results are written to: standard output, or a file that appears whole or not at all.

    Args:
        path: None means standard output. A device or a pipe is written to directly.
        errors: what becomes of characters that UTF-8 cannot write.

    Raises:
        CommandError: if it cannot be written.
    """
    with _said_in_one_sentence(path):
        if path is None:
            with _standard_output(errors) as file:
                yield file
            return
        target = path.resolve()  # a link stays one
        if target.exists() and not target.is_file():
            with target.open("w", encoding="utf-8", errors=errors, newline="\n") as file:
                yield file
            return
        with whole(target) as place, place.open("w", encoding="utf-8", errors=errors, newline="\n") as file:
            yield file


@contextmanager
def _said_in_one_sentence(path: Path | None) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        name = "standard output" if path is None else path
        raise CommandError(f"{name}: cannot be written: {reason(error)}") from None


@contextmanager
def _standard_output(errors: str) -> Iterator[TextIO]:
    try:
        if isinstance(sys.stdout, TextIOWrapper) and not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8", errors=errors, newline="\n")
        yield sys.stdout
        sys.stdout.flush()
    except OSError:
        # At exit Python would try again to write the rest of the buffer, fail again, and say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
