"""Files to parts of the data. What cannot be read, or breaks a rule, is a finding; all else is read on."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from ..readers.account import Account
from ..readers.columns import read_bytes
from ..readers.documents import Document
from ..readers.files import read_file
from ..readers.formats import OF_SENTENCES, find_format, read_documents
from ..readers.labelled import understand
from ..readers.marks import Ask
from ..readers.partial import is_known
from ..readers.sentences import DataError, Sentence
from ..readers.spans import SpanRules, sentences_of
from ..readers.spelling import describe, find_spelling, respell
from ..readers.tags import find_scheme, tag_places
from ..schemes import OUTSIDE, has_type, is_allowed
from .findings import ERROR, NOTE, SHOWN, WARNING, Example, Finding, few, in_context
from .parts import Part, Source, plural

__all__ = ["How", "read_part"]


@dataclass
class How:
    """How the files are to be read: what the options of training say.

    Attributes:
        word_column, tag_column, document_column: names of columns.
        data_format: of all files; None finds it out.
        annotator: whose annotations count.
        labels: the names of tags that are numbers.
        repair_tags: whether training is to repair illegal tags.
        rules: how spans become words and tags.
        splitter: the name of that way to find words.
    """

    word_column: str | None = None
    tag_column: str | None = None
    document_column: str | None = None
    data_format: str | None = None
    annotator: str = "error"
    labels: Sequence[str] | None = None
    repair_tags: bool = False
    rules: SpanRules = field(default_factory=SpanRules)
    splitter: str = "unicode_words"


def read_part(name: str, paths: Sequence[Path], how: How) -> tuple[Part, list[Finding]]:
    """Read a part of the data from its files, and say what was noticed on the way.

    Args:
        name: of the part.
        paths: files, or folders of brat's.
        how: they are to be read.
    """
    ask, overlaps = Ask(how.word_column, how.tag_column, how.annotator), list[Example]()
    sentences, sources, findings = list[Sentence](), list[Source](), list[Finding]()
    for path in paths:
        found, before = "", len(sentences)
        try:
            found = find_format(path, how.data_format, ask)
            for sentence in _sentences(path, found, how, ask, overlaps):
                sentences.append(sentence)
        except DataError as error:
            cure = "only what stands before it was looked at" if len(sentences) > before else ""
            findings.append(Finding(ERROR, "unreadable", name, str(error), cure))
        sources.append(Source(str(path), found))
        if found == "conll":
            findings += _columns(name, path, how)
    if any(source.format not in ("", *OF_SENTENCES) for source in sources):
        findings.append(Finding(NOTE, "splitter", name, f"texts are split into words by {how.splitter!r}"))
    findings += _of_account(name, ask.account, overlaps, how.rules)
    legal, scheme, more = _understood(name, sentences, how)
    return Part(name, legal, scheme, sources), findings + more


def _sentences(path: Path, found: str, how: How, ask: Ask, overlaps: list[Example]) -> Iterator[Sentence]:
    if found in OF_SENTENCES:
        return read_file(path, how.word_column, how.tag_column, how.labels, how.document_column, found)
    rules = how.rules
    lenient = replace(
        rules,
        on_overlap="longest" if rules.on_overlap == "error" else rules.on_overlap,
        on_misaligned="split" if rules.on_misaligned == "error" else rules.on_misaligned,
    )
    return sentences_of(_watched(read_documents(path, found, ask), overlaps), lenient, ask.account)


def _watched(documents: Iterable[Document], overlaps: list[Example]) -> Iterator[Document]:
    """Pass documents on, and note which of their annotations overlap."""
    for document in documents:
        for one, other in pairwise(sorted(document.annotations)):
            if other.start < one.end:
                both = " with ".join(
                    f"{some.kind} {document.text[some.start : some.end]!r:.60}" for some in (one, other)
                )
                overlaps.append(Example(document.where, both, ""))
        yield document


def _of_account(name: str, account: Account, overlaps: list[Example], rules: SpanRules) -> Iterator[Finding]:
    """Say what became of spans."""
    if overlaps:
        is_refused = rules.on_overlap == "error"
        text = f"{plural(len(overlaps), 'annotation overlaps', 'annotations overlap')} another one"
        cure = "a word has one tag; --on_overlap longest, or first, keeps one of them"
        severity = ERROR if is_refused else WARNING
        yield Finding(severity, "overlapping_spans", name, text, cure, len(overlaps), few(overlaps))
    says = {
        "moved": ("blanks_at_ends", "moved, since an end is a blank or lies within a word", ""),
        "split": ("half_words", "within words, which are split there", "look whether their ends are meant"),
        "dropped": ("dropped_spans", "left out", ""),
    }
    for fate, (code, text, cure) in says.items():
        if count := account.total(fate):
            is_refused = fate == "split" and rules.on_misaligned == "error"
            end = "end " if fate == "split" else "are "
            verb = end if count > 1 else {"end ": "ends ", "are ": "is "}[end]
            examples = [_of_text(example) for example in account.examples.get(fate, [])]
            said = f"{plural(count, 'annotation')} {verb}{text}"
            yield Finding(ERROR if is_refused else WARNING, code, name, said, cure, count, few(examples))
    for note, count in sorted(account.notes.items()):
        yield Finding(NOTE, "reader", name, f"{note}: {count:,}", count=count)


def _of_text(example: str) -> Example:
    """Part an account's example into its place and what stands there."""
    place, _, text = example.partition(": ")
    return Example(place, text, "")


def _columns(name: str, path: Path, how: How) -> Iterator[Finding]:
    """Say which columns of a file were taken, if there was a choice, and if another one holds tags as well."""
    lines = read_bytes(path, 1 << 16).decode("utf-8-sig", "replace").splitlines()[:-1]
    rows = [line.split("\t") if "\t" in line else line.split() for line in lines if line.strip()]
    rows = [row for row in rows if not row[0].startswith(("#", "-DOCSTART-"))]
    count = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    if count < 3 or (how.word_column is not None and how.tag_column is not None):
        return
    columns = list(zip(*(row for row in rows if len(row) == count), strict=True))
    others = [index for index in range(1, count - 1) if _are_tags(columns[index])]
    taken = how.tag_column or f"the last, {count - 1}"
    text = f"{path} has {count} columns: the words are taken from column {how.word_column or 0}, the tags from {taken}"
    if others and how.tag_column is None:
        text += f"; column {others[0]} holds tags, too"
        yield Finding(WARNING, "columns", name, text, f"--label_column_name {others[0]} reads that one")
    else:
        yield Finding(NOTE, "columns", name, text)


def _are_tags(cells: Sequence[str]) -> bool:
    return all(cell == OUTSIDE or has_type(cell) for cell in cells) and any(map(has_type, cells))


def _understood(name: str, sentences: list[Sentence], how: How) -> tuple[list[Sentence], str | None, list[Finding]]:
    """Find out how tags are spelt and their scheme; return the sentences with legal tags, and what was noticed."""
    if not sentences:
        return [], None, []
    findings = []
    places = tag_places(sentences)
    if how.labels is None and all(tag.isdecimal() for tag in places):
        tags = ", ".join(map(repr, places))[:60]
        cure = "give their names, in order, with --label_list"
        place = Example(next(iter(places.values())), tags, "")
        return [], None, [Finding(ERROR, "numeric_tags", name, f"the tags are numbers, {tags}", cure, 1, (place,))]
    try:
        spelling = find_spelling(places, how.labels or ())
        if said := describe(spelling):
            findings.append(Finding(NOTE, "spelling", name, said))
        spelt = [respell(sentence, spelling) for sentence in sentences]
        scheme = find_scheme(spelt)
        findings += _illegal(name, spelt, scheme, how.repair_tags)
        return understand(spelt, {}, repair_tags=True).sentences, scheme, findings
    except DataError as error:
        return [], None, [Finding(ERROR, "tags", name, str(error))]


def _illegal(name: str, sentences: Sequence[Sentence], scheme: str | None, repaired: bool) -> Iterator[Finding]:
    """Find tags that may not stand where they stand."""
    if scheme is None or scheme == "IOB1":
        return
    counts, examples = Counter[str](), list[Example]()
    known: dict[tuple[str | None, str | None], bool] = {}
    for sentence in sentences:
        for index, step in enumerate(pairwise([None, *sentence.tags, None])):
            if step not in known:
                is_open = not all(tag is None or is_known(tag) for tag in step)
                known[step] = is_open or is_allowed(*step, scheme)
            if not known[step]:
                before, tag = step
                after = "the sentence's start" if before is None else repr(before)
                counts[f"{tag!r} after {after}" if tag else f"{before!r} at the sentence's end"] += 1
                place = min(index, len(sentence.tags) - 1)
                if len(examples) < SHOWN:
                    examples.append(in_context(sentence, place, place + 1, sentence.tags[place]))
    if counts:
        shown = ", ".join(f"{step} ({count:,})" for step, count in counts.most_common(SHOWN))
        text = f"{plural(counts.total(), 'tag breaks', 'tags break')} the rules of {scheme}: {shown}"
        cure = "--repair_tags reads a tag that continues nothing as the opening of an entity"
        severity = WARNING if repaired else ERROR
        yield Finding(severity, "illegal_tags", name, text, cure, counts.total(), tuple(examples))
